"""What a model must be able to do to be tested: give logits, and perhaps keep a cache."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from handcraft.vocabulary import Vocabulary

Ids = npt.NDArray[np.int64]
Array = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


@runtime_checkable
class Answering(Protocol):
    """A model under test. `as_model` makes one of most things; anything else can be one itself.

    What it answers is checked where it is used, so an implementation need not check anything.
    """

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokens, and the id of each; ids without a token may exist besides."""

    @property
    def positions(self) -> int | None:
        """The most tokens of a text; None if that is not known."""

    def logits(self, ids: Ids) -> Any:
        """The logits after texts of one length: [text, position] -> [text, position, n_vocab].

        A model that answers at the last position alone gives [text, 1, n_vocab].
        """


@runtime_checkable
class Caching(Answering, Protocol):
    """A model under test that can keep what it computed for earlier positions."""

    def empty_run(self, texts: int) -> CachedRun:
        """A run of so many texts of which no token was read yet."""


class CachedRun(Protocol):
    """Some texts of one length that are read piece by piece, with a cache."""

    def extend(self, ids: Ids) -> Any:
        """Read further tokens: [text, new position] -> their logits, [text, new position, n_vocab]."""

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens of every text."""

    def pick(self, texts: Ids) -> None:
        """Keep some of the texts, in this order; a text may occur several times."""
