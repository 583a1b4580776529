"""Verify a folder: the model that other tools read from it, and the files that they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

from handcraft.circuits import Circuits
from handcraft.errors import HandcraftError
from handcraft.formats.checkpoint import Checkpoint, read_checkpoint
from handcraft.formats.foreign_files import shown
from handcraft.formats.huggingface.disagreements import disagreements, model_as_read, unreadable
from handcraft.formats.tensors.shards import SINGLE
from handcraft.language import Prompts
from handcraft.model import Model, as_reordered, as_rounded
from handcraft.verify import (
    Disagreement,
    Report,
    ValueReport,
    count_contexts,
    meant_by_circuits,
    verify,
    verify_values,
)

CIRCUITS = "the ideal circuits in handcraft.json"
"""What values of a folder are compared with."""


def verify_folder(
    folder: str | Path | Checkpoint,
    *,
    sample: int | None = None,
    seed: int = 0,
    given: Iterable[str] | None = None,
    executor: Executor | None = None,
) -> Report | ValueReport:
    """Compare the model in a folder with its meaning in handcraft.json.

    The model is the one that transformers builds: by config.json, with the ids of tokenizer.json. The
    report also lists, key by key, where these files contradict handcraft.json. A model in half
    precision is checked twice more, with every step rounded to its dtype: with the steps of
    transformers, and with sums in another order. Of a model that computes values, these are compared
    with those of its circuits.

    The options are those of `verify`.

    Raises:
        CheckpointError: the tensors or handcraft.json are missing, damaged or foreign; or only Python
            code decided which prompts are allowed, and none are given.
    """
    checkpoint = folder if isinstance(folder, Checkpoint) else read_checkpoint(folder)
    found = disagreements(checkpoint)
    source, values = checkpoint.source, checkpoint.values
    try:
        model = model_as_read(checkpoint)
    except HandcraftError as error:
        found = found or unreadable(error)
        if values is not None:
            return ValueReport(CIRCUITS, None, seed, (), disagreements=found)
        contexts = count_contexts(len(source.vocabulary), source.context)
        report = Report.without_answers(contexts, source.context, 0)
        return replace(report, seed=seed, disagreements=found)
    prompts = checkpoint.prompts(as_far_as_known=given is not None)
    lines = None if given is None else list(given)
    if values is not None:
        assert isinstance(source, Circuits)
        compared = verify_values(
            replace(values, model=model),
            meant_by_circuits(source, values.outputs),
            prompts or Prompts(source.vocabulary, source.context, causal=source.causal),
            CIRCUITS,
            sample=sample,
            seed=seed,
            given=lines,
            executor=executor,
        )
        return replace(compared, disagreements=found)

    def judged(model: Model) -> Report:
        options: Any = {"sample": sample, "seed": seed, "given": lines, "executor": executor}
        return verify(model, source, prompts=prompts, **options)

    report = judged(model)
    if report.passed and model.dtype != model.running_dtype:
        found = (*found, *_in_half_precision(model, judged))
    return replace(report, disagreements=found, facts=checkpoint.manifest.facts)


def _in_half_precision(model: Model, judged: Callable[[Model], Report]) -> Iterator[Disagreement]:
    """The disagreement that answers are wrong if every step is rounded to the dtype of the tensors."""
    dtype = model.dtype.name
    ways = {
        f"computed in {dtype}, as other tools do,": as_rounded,
        f"computed in {dtype}, with sums in another order than here,": as_reordered,
    }
    for how, run in ways.items():
        report = judged(run(model))
        if report.failed:
            first, tried = report.failures[0], report.tried + report.longer
            yield Disagreement(
                SINGLE,
                None,
                f"{how} {report.failed:,} of {tried:,} answers are wrong, the first after "
                f"{shown(first.context)}; in float32 all are right",
            )
            return
