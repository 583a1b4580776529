"""The formats in which a compiled model can be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from handcraft.architecture import Architecture
from handcraft.compiler import Compiled
from handcraft.dtype import dtype_named
from handcraft.errors import AssumptionError, CheckpointError, PrecisionError
from handcraft.formats.gguf.gguf_file import write_gguf
from handcraft.formats.huggingface.write_repository import METADATA, write_huggingface
from handcraft.formats.onnx.onnx_file import write_onnx
from handcraft.formats.raschka_file import write_raschka
from handcraft.formats.tensors.safetensors_file import pending, write_safetensors
from handcraft.language import Prompts
from handcraft.model import Model
from handcraft.phrase import either, phrase, setting
from handcraft.verify import Report, check_facts, check_stream, verify

EVERY_UP_TO = 20_000
"""The most contexts that are all tried before anything is written."""

SAMPLE = 2_000
"""How many random contexts are tried where there are more."""

Writer = Callable[[Compiled, Report, Path], None]


def check_answers(compiled: Compiled, prompts: Prompts | None = None) -> Report:
    """Run the weights as they were cast, before anything is written.

    `prompts` says which texts are allowed, if circuits were compiled and not all texts are.

    Raises:
        PrecisionError: a fact on which the weights rely is violated, or an answer is wrong; the
            message says after which context.
    """
    if compiled.circuits.unembedding is None:
        measured = check_facts(compiled).measured
        tried = check_stream(compiled)
        report = Report.without_answers(tried, compiled.circuits.context, tried)
        return replace(report, facts=measured)
    report = verify(
        compiled.model, compiled.source, prompts=prompts, every_up_to=EVERY_UP_TO, sample=SAMPLE
    )
    if not any(failure.broken for failure in report.failures):
        report = replace(report, facts=check_facts(compiled).measured)
    if not report.passed:
        failure = report.failures[0]
        if failure.broken:
            raise AssumptionError(
                f"an allowed prompt breaks an assumption: {failure.broken}",
                where=compiled.source.place,
                fix="assume more values, or exclude such prompts with inputs=",
            )
        if failure.error is not None:
            what = f"a probability has an error of {failure.error:.2g} {failure.place}"
        else:
            answer = f"the model answers {failure.answered!r} {failure.place}"
            what = f"{answer}, and {failure.expected!r} is right (margin {failure.margin:g})"
        raise PrecisionError(
            f"in {compiled.model.dtype.name} {what}",
            where=compiled.source.place,
            fix="use a wider dtype, or `handcraft verify` to see all failures",
        )
    return report


def check_format(name: str, architecture: Architecture) -> None:
    """Raise unless there is a format of that name, and what reads it masks what the model masks."""
    if name not in WRITERS:
        raise CheckpointError(f"there is no format {name!r}", fix=f"use one of: {', '.join(WRITERS)}")
    if name in MASKING and not architecture.causal:
        others = [other for other in WRITERS if other not in MASKING]
        raise CheckpointError(
            f"the model attends to later positions, and {MASKING[name]} always masks them",
            where=f"the format {name}",
            fix=phrase("write ", either("format", others)),
        )


def _write_safetensors(compiled: Compiled, report: Report, folder: Path) -> None:
    path = folder / "model.safetensors"
    write_safetensors(path, pending(compiled.model), METADATA)


def _write_npz(compiled: Compiled, report: Report, folder: Path) -> None:
    dtype = dtype_named(compiled.model.dtype.name)
    if not dtype.is_in_numpy:
        raise CheckpointError(
            f"npz has no {dtype.name}",
            fix=phrase(
                "use ",
                either("dtype", ["float32", "float16"]),
                ", or ",
                setting("format", "safetensors"),
            ),
        )
    np.savez(folder / "model.npz", allow_pickle=False, **dict(compiled.model.tensors))


def _write_onnx(compiled: Compiled, report: Report, folder: Path) -> None:
    write_onnx(compiled.model, folder, with_stream=compiled.circuits.unembedding is None)


def _of_model(write: Callable[[Model, Path], None]) -> Writer:
    """A writer that needs nothing but the model."""
    return lambda compiled, report, folder: write(compiled.model, folder)


WRITERS: dict[str, Writer] = {
    "huggingface": write_huggingface,
    "safetensors": _write_safetensors,
    "npz": _write_npz,
    "raschka": _of_model(write_raschka),
    "onnx": _write_onnx,
    "gguf": _of_model(write_gguf),
}
"""The writer of each format: it fills an empty folder."""

FORMATS = tuple(WRITERS)

MASKING = {"huggingface": "GPT2LMHeadModel", "raschka": "Raschka's GPTModel", "gguf": "llama.cpp"}
"""What reads a format, where it can run no model without a causal mask."""

READ_BACK = ("huggingface", "safetensors", "npz")
"""The formats that are read here, not only written."""
