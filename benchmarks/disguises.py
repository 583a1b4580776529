"""What each way to disguise a model keeps, and how its weights look afterwards: a table in Markdown.

python benchmarks/disguises.py aab parity histogram
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from handcraft import HandcraftError, compile_program, disguise, load, read_checkpoint, save
from handcraft.cli.input.sources import find
from handcraft.disguise import (
    Distract,
    Match,
    Noise,
    Pad,
    Permute,
    Rotate,
    Split,
    Superpose,
    weight_statistics,
)
from handcraft.disguise.judge import within

WAYS: dict[str, Sequence[Any]] = {
    "permute": [Permute()],
    "split": [Split()],
    "distract, mean": [Distract(1, 8)],
    "distract, pairs": [Distract(2, 8, "pairs")],
    "pad": [Pad(n_layer=4)],
    "rotate": [Rotate()],
    "match": [Match()],
    "noise": [Noise()],
    "all but noise": [Split(), Distract(1, 8), Distract(None, None), Permute(), Rotate(), Match()],
}

TEXTS = 200


def main(names: Sequence[str]) -> None:
    print(
        "| program | disguise | margin before | after | logits off by | proof | c_fc zeros | kurtosis |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with TemporaryDirectory() as temporary:
        for name in names:
            folder = save(compile_program(find(name).source), Path(temporary) / name)
            width = load(folder).shape.n_embd
            narrower = {"superpose": [Superpose(width - 2)]}
            for way, transforms in {**WAYS, **narrower}.items():
                print(row(name, folder, way, transforms, Path(temporary) / "out"), flush=True)


def row(name: str, folder: Path, way: str, transforms: Sequence[Any], target: Path) -> str:
    """One row of the table."""
    try:
        made = disguise(folder, transforms, seed=1, untie=True)
        made.save(target)
    except HandcraftError as error:
        return f"| {name} | {way} | refused: {error.what[:60]} |"
    proof = read_checkpoint(target).manifest.proof
    original = made.original.model
    rng = np.random.default_rng(0)
    length = min(original.shape.n_positions, made.original.length, 32)
    ids = rng.choice(np.array(original.vocabulary.numbers), size=(TEXTS, length))
    numbers = np.array(original.vocabulary.numbers)
    logits, others = original.forward(ids), within(made.model, original.shape.n_positions).forward(ids)
    off = np.abs(logits[..., numbers] - others[..., numbers]).max()
    stats = {each.kind: each for each in weight_statistics(made.model)}["mlp.c_fc.weight"]
    verdict = "none" if proof is None else proof.verdict
    return (
        f"| {name} | {way} | {made.before.margin:.4f} | {made.after.margin:.4f} | {off:.1e} | "
        f"{verdict} | {stats.zeros:.1%} | {stats.kurtosis:.3g} |"
    )


if __name__ == "__main__":
    main(sys.argv[1:] or ["aab", "parity", "histogram"])
