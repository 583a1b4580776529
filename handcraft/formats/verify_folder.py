"""Judging a folder: the model that other tools read out of it, and the files that they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import inf
from pathlib import Path

from handcraft.errors import HandcraftError
from handcraft.formats.checkpoint import Checkpoint, read_checkpoint
from handcraft.formats.disagreements import disagreements, model_as_read, unreadable
from handcraft.verify import Report, count_contexts, verify


def verify_folder(
    folder: str | Path | Checkpoint,
    *,
    sample: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    given: Iterable[str] | None = None,
) -> Report:
    """Compare a folder with what handcraft.json says that its model means.

    The model is the one that transformers builds: by config.json, with the ids of tokenizer.json. What
    these files say differently than handcraft.json is in the report as well, key by key.

    Args:
        folder: what `save` wrote, or that as `read_checkpoint` gave it.
        sample: as for `verify`.
        seed: as for `verify`.
        progress: as for `verify`.
        given: as for `verify`.

    Raises:
        CheckpointError: the tensors or handcraft.json are missing, damaged or foreign.
    """
    checkpoint = folder if isinstance(folder, Checkpoint) else read_checkpoint(folder)
    found = disagreements(checkpoint)
    source = checkpoint.source
    try:
        model = model_as_read(checkpoint)
    except HandcraftError as error:
        contexts = count_contexts(len(source.vocabulary), source.context)
        return Report(
            contexts,
            source.context,
            0,
            0,
            seed,
            0,
            (),
            inf,
            "",
            disagreements=found or unreadable(error),
        )
    prompts = checkpoint.prompts if given is None else checkpoint.known_prompts
    report = verify(
        model, source, prompts=prompts, sample=sample, seed=seed, progress=progress, given=given
    )
    return replace(report, disagreements=found, facts=checkpoint.facts)
