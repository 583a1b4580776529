"""Write a data set of programs and weights: sharded, the same bytes for the same seed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import count, islice
from pathlib import Path

import numpy as np

from handcraft.dataset.card import data_card
from handcraft.dataset.record import TARGETS, Record, Refused, Target, make_record
from handcraft.dtype import dtype_named
from handcraft.errors import ArchitectureError, LimitError
from handcraft.formats.folder import Content, whole_folder, write_text
from handcraft.formats.tensors.safetensors_file import Pending, write_safetensors
from handcraft.phrase import either, phrase
from handcraft.progress import advance, listening

FORMAT = 1
"""The version of the files, which docs/dataset.md describes."""

DATASET = "dataset.json"

CARD = "README.md"

CONTENT = Content(
    frozenset({DATASET}), frozenset({DATASET, CARD}), r"shard-[0-9]{5,}\.(jsonl|safetensors)"
)
"""What an earlier output contains, which may be replaced."""

AT_ONCE = 64
"""How many candidates an executor is given at a time."""

MOST = 1_000_000
"""The most programs of one data set."""


@dataclass(frozen=True)
class Settings:
    """What a data set contains.

    Args:
        programs: how many.
        seed: of all choices.
        shard: how many programs one pair of files contains.
        architecture: what the programs are compiled for.
        sample: on how many contexts each model is tried, if there are too many to try all.

    Raises:
        LimitError: a number is out of range.
        ArchitectureError: programs are not compiled for the architecture.
    """

    programs: int = 10_000
    seed: int = 0
    shard: int = 1_000
    architecture: Target = "gpt2"
    sample: int = 2_000

    def __post_init__(self) -> None:
        for name, least in (("programs", 1), ("seed", 0), ("shard", 1), ("sample", 1)):
            value = getattr(self, name)
            if not least <= value <= MOST:
                raise LimitError(
                    f"{name}={value:,} is not between {least} and {MOST:,}",
                    fix=f"use a number up to {MOST:,}",
                )
        if self.architecture not in TARGETS:
            raise ArchitectureError(
                f"a data set is not made for the architecture {self.architecture!r}",
                where="the settings of the data set",
                fix=phrase("use ", either("architecture", TARGETS)),
            )


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        folder: where.
        settings: how it was asked for.
        kinds: how many programs of each kind.
        refused: how many candidates did not compile, by the class of the error.
        repeated: how many candidates were left out because another one has the same script.
        parameters: the number of parameters of all models together.
    """

    folder: Path
    settings: Settings
    kinds: dict[str, int]
    refused: dict[str, int]
    repeated: int
    parameters: int


def write_dataset(
    folder: str | Path,
    settings: Settings = Settings(),
    *,
    executor: Executor | None = None,
) -> Written:
    """Write random programs, their scripts and their weights, completely or not at all.

    The same settings give the same bytes, with any executor.

    Args:
        folder: must be missing, empty, or an earlier data set, which is then replaced.
        settings: what to write.
        executor: makes the programs; by default this process does.

    Raises:
        CheckpointError: the folder contains something else, or cannot be written.
    """
    target = Path(folder)
    refused: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    seen: set[str] = set()
    repeated = parameters = 0
    shards: list[dict[str, object]] = []
    with whole_folder(target, CONTENT) as fresh:
        shard: list[Record] = []
        for made in _candidates(settings, executor):
            if isinstance(made, Refused):
                refused[made.why] += 1
                continue
            if made.facts["graph"] in seen:
                repeated += 1
                continue
            seen.add(made.facts["graph"])
            shard.append(made)
            kinds[made.facts["kind"]] += 1
            parameters += made.facts["parameters"]
            advance("make programs", len(seen), settings.programs)
            is_last = len(seen) == settings.programs
            if is_last or len(shard) == settings.shard:
                shards.append(_write_shard(fresh, len(shards), shard))
                shard = []
            if is_last:
                break
        written = Written(
            target,
            settings,
            dict(sorted(kinds.items())),
            dict(sorted(refused.items())),
            repeated,
            parameters,
        )
        data = {
            "format": FORMAT,
            "programs": settings.programs,
            "seed": settings.seed,
            "architecture": settings.architecture,
            "kinds": written.kinds,
            "refused": written.refused,
            "repeated": repeated,
            "parameters": parameters,
            "shards": shards,
        }
        write_text(fresh / DATASET, json.dumps(data, indent=2) + "\n")
        write_text(fresh / CARD, data_card(written))
    return written


def _candidates(settings: Settings, executor: Executor | None) -> Iterator[Record | Refused]:
    """All candidates in order, without end."""
    make = partial(
        make_record,
        settings.seed,
        architecture=settings.architecture,
        sample=settings.sample,
    )
    if executor is None:
        for number in count():
            with listening(None):  # the progress of one program says nothing of that of all
                made = make(number)
            yield made
        return
    numbers = count()
    waiting = [executor.submit(make, number) for number in islice(numbers, AT_ONCE)]
    try:
        while True:
            made = waiting.pop(0).result()
            waiting.append(executor.submit(make, next(numbers)))
            yield made
    finally:
        for future in waiting:
            future.cancel()


def _write_shard(folder: Path, number: int, records: list[Record]) -> dict[str, object]:
    """Write one pair of files: a line for each program, and the tensors of all."""
    name = f"shard-{number:05}"
    lines = "".join(json.dumps(record.facts, ensure_ascii=False) + "\n" for record in records)
    write_text(folder / f"{name}.jsonl", lines)
    tensors = {
        f"{record.number}/{tensor}": Pending(
            values.shape, dtype_named(values.dtype.name), partial(np.asarray, values)
        )
        for record in records
        for tensor, values in record.tensors.items()
    }
    write_safetensors(folder / f"{name}.safetensors", tensors, {"origin": "handcraft dataset"})
    return {
        "name": name,
        "programs": len(records),
        "sha256": {
            kind: sha256((folder / f"{name}.{kind}").read_bytes()).hexdigest()
            for kind in ("jsonl", "safetensors")
        },
    }
