"""Write a pack: every model in every format, the cases, their schema, and the hashes of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from handcraft.conformance.cases.all_cases import contents
from handcraft.conformance.faults.known import faults_of
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.conformance.pack.measure import measured
from handcraft.conformance.pack.proofs import with_proofs
from handcraft.conformance.pack.read_pack import (
    CASES,
    CONVERTER,
    MANIFEST,
    SCHEMA,
    VERSION,
    ModelFiles,
    file_hash,
    hash_of,
)
from handcraft.errors import ConformanceError
from handcraft.formats.folder import Content, whole_folder, write_text
from handcraft.formats.gguf.gguf_file import write_gguf
from handcraft.formats.huggingface.write_repository import write_model
from handcraft.formats.onnx.onnx_file import write_onnx
from handcraft.model import Model
from handcraft.progress import advance
from handcraft.proofs.certificate import CERTIFICATE, certificate_of, certificate_text, statement_of

FORMATS: Mapping[str, Callable[[Model, Path], None]] = {
    "huggingface": write_model,
    "gguf": write_gguf,
    "onnx": write_onnx,
}
"""The formats of a pack, each with what writes it into an empty folder."""

PACK = Content(frozenset({MANIFEST}), frozenset({MANIFEST, CASES, SCHEMA, "models"}))
"""By what a folder is known as an earlier pack."""


def write_pack(
    folder: Path, formats: Sequence[str] = tuple(FORMATS), *, is_proved: bool = True
) -> Path:
    """Write a pack into a folder, completely or not at all; the same bytes every time.

    Args:
        folder: must be missing, empty, or an earlier pack, which is then replaced.
        formats: the formats of the models, of `FORMATS`.
        is_proved: whether to prove margins, which takes as long as all the rest. Only the Hugging Face
            files can be proved; without them no margin is.

    Raises:
        ConformanceError: there is no such format.
        CheckpointError: the folder contains something else, or a format needs a package.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ConformanceError(
            f"there is no format {unknown[0]!r}" if unknown else "no format is named",
            fix=f"use some of: {', '.join(FORMATS)}",
        )
    wanted = contents()
    models = wanted.models
    with whole_folder(folder, PACK) as fresh:
        described = {model.name: _write_model(model, fresh, formats) for model in models.values()}
        cases = []
        for number, case in enumerate(wanted.cases):
            advance("measure cases", number, len(wanted.cases))
            cases.append(measured(case, models[case.model]))
        if is_proved and "huggingface" in formats:
            places = {name: fresh / model.formats["huggingface"] for name, model in described.items()}
            cases = with_proofs(cases, places)
        write_text(fresh / CASES, _lines({"version": VERSION, "cases": CONVERTER.unstructure(cases)}))
        write_text(fresh / SCHEMA, files("handcraft.conformance.pack").joinpath(SCHEMA).read_text())
        targets = [model.model.architecture for model in models.values()]
        faults = {fault.id: fault.says for target in targets for fault in faults_of(target)}
        manifest: dict[str, Any] = {
            "version": VERSION,
            "models": CONVERTER.unstructure(described),
            "faults": faults,
            "files": {
                str(path.relative_to(fresh)): file_hash(path)
                for path in sorted(fresh.rglob("*"))
                if path.is_file()
            },
        }
        plain = json.loads(json.dumps(manifest))  # keys are strings, as they are read
        plain["hash"] = hash_of(plain)
        write_text(fresh / MANIFEST, json.dumps(plain, indent=1) + "\n")
    return folder


def _write_model(model: Diagnostic, folder: Path, formats: Sequence[str]) -> ModelFiles:
    places = {}
    for name in formats:
        if name == "gguf" and model.model.architecture.window is not None:
            continue  # llama.cpp has sliding windows, but none for this architecture
        place = folder / "models" / model.name / name
        place.mkdir(parents=True)
        FORMATS[name](model.model, place)
        if name == "huggingface" and model.means is not None:
            certificate = certificate_of(statement_of(model.means), model.model, place)
            write_text(place / CERTIFICATE, certificate_text(certificate))
        places[name] = str(place.relative_to(folder))
    shape = model.model.shape
    return ModelFiles(
        model.name,
        model.computes,
        model.model.architecture.name,
        shape.n_vocab,
        shape.n_positions,
        places,
        model.readings,
    )


def _lines(data: Mapping[str, Any]) -> str:
    """JSON with a line for each case."""
    cases = ",\n".join(json.dumps(case, separators=(",", ":")) for case in data["cases"])
    return f'{{"version":{data["version"]},"cases":[\n{cases}\n]}}\n'
