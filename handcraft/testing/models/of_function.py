"""A plain function as a model under test: one text at a time, to logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from handcraft.display import short_repr
from handcraft.testing.models.answering import Ids
from handcraft.vocabulary import Vocabulary

Reads = Literal["ids", "tokens", "text"]
"""What a function is called with: a list of ids, a list of tokens, or a text."""


@short_repr
@dataclass(frozen=True)
class OfFunction:
    """A function under test.

    Args:
        function: from one text to its logits: [n_vocab] after the whole text, [position, n_vocab], or a
            dictionary from tokens to logits.
        vocabulary: its tokens.
        reads: what the function is called with.
        positions: the most tokens of a text; None if that is not known.
        name: how messages call it.
    """

    function: Callable[[Any], Any]
    vocabulary: Vocabulary
    reads: Reads = "ids"
    positions: int | None = None
    name: str = "the function"

    def logits(self, ids: Ids) -> Any:
        """[text, position] -> [text, position or 1, n_vocab]."""
        return np.stack([self._of_one(row) for row in ids.tolist()])

    def _of_one(self, row: list[int]) -> Any:
        returned = self.function(self._argument(row))
        if isinstance(returned, Mapping):
            lowest = dict.fromkeys(range(max(self.vocabulary.numbers) + 1), -np.inf)
            known = {self.vocabulary.id(token): logit for token, logit in returned.items()}
            returned = [*(lowest | known).values()]
        logits = np.asarray(returned)
        return logits[None] if logits.ndim == 1 else logits

    def _argument(self, row: list[int]) -> object:
        if self.reads == "ids":
            return row
        return self.vocabulary.text(row) if self.reads == "text" else [*map(self.vocabulary.token, row)]
