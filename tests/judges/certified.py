"""What is proved of folders, and what runs of them show: margins, distances and values."""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from sweeps import DEEP

ROOT = Path(__file__).parents[2]

JUDGED = runpy.run_path(str(ROOT / "benchmarks" / "judged_folders.py"))

BATCHES = {1_000: 0, 3: -2, 1: -1}
"""How many texts are run at once: of every length, or of the longest ones."""

THREADS = (1, 2)
"""How many threads compute."""

EVERY = tuple(product(("eager", "sdpa"), (False, True), THREADS))

VARIANTS = EVERY if DEEP else (("eager", False, 1), ("sdpa", True, 2))
"""How transformers computes attention, whether dimensions are in another order, and the threads."""

INPUTS, LENGTHS = (8, 1_000) if DEEP else (2, 3)
"""How many inputs are drawn, and of how many lengths their contexts are tried."""


@dataclass(frozen=True)
class Certified:
    """A folder, what is proved of it, and contexts to run.

    Args:
        folder: that was written.
        files: what is in it.
        claim: as the checker reads it.
        margin: that is proved.
        distance: of probabilities, that is proved; infinite where the program has none.
        contexts: ids of texts, [text, position], one array for each length.
    """

    folder: Path
    files: Any
    claim: Any
    margin: float
    distance: float
    contexts: list[np.ndarray]

    def check(self, run) -> None:
        """Raise unless all runs show at least that margin, whatever the size of a batch.

        Args:
            run: from ids, [text, position], to the last logits, [text, vocab_size].
        """
        for size, first in BATCHES.items():
            for ids in self.contexts if DEEP else self.contexts[first:]:
                for start in range(0, len(ids), size):
                    some = ids[start : start + size]
                    self._check(some, np.asarray(run(some), dtype=np.float64))

    def _check(self, ids, logits) -> None:
        places = np.array([[self._places[i] for i in row] for row in ids.tolist()])
        for text, row, code in zip(
            places, logits, self.claim.meaning.answers(places).codes, strict=True
        ):
            logs = self.claim.judge.logs_of(int(code))
            may = logs > -np.inf
            margin = row[may].min() - row[~may].max(initial=-np.inf)
            assert margin >= self.margin, text
            if self.distance < np.inf:
                powers = np.exp(row - row.max())
                assert np.abs(powers / powers.sum() - np.exp(logs)).sum() / 2 <= self.distance, text

    @property
    def _places(self):
        return {number: place for place, number in enumerate(self.claim.token_ids.tolist())}


def drawn(claim, name, worst=()):
    """Contexts of a claim: random ones, and one that is given; the longest of some lengths."""
    found = JUDGED["drawn_contexts"](claim, Random(name), INPUTS, [list(worst)] if worst else [])
    ids = [each for each, _ in found]
    few = sorted(ids, key=lambda each: each.shape[1])[-LENGTHS:]
    return [each for each in ids if any(each is kept for kept in few) or each.shape[1] == len(worst)]


def last_logits(model):
    """A function that runs a model of transformers: the last logits of texts of ids."""
    import torch

    def run(ids):
        with torch.no_grad():
            return model(torch.from_numpy(ids)).logits[:, -1].float().numpy()

    return run
