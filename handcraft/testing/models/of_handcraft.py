"""Our own models as models under test: GPT-2 in NumPy, however it was made."""

from __future__ import annotations

from dataclasses import dataclass

from handcraft.display import short_repr
from handcraft.language import Prompts
from handcraft.model import Cache, Model
from handcraft.testing.models.answering import Array, Ids
from handcraft.vocabulary import Vocabulary


@short_repr
@dataclass(frozen=True)
class OfHandcraft:
    """A `Model` under test.

    Args:
        model: the model.
        name: how messages call it.
        prompts: the prompts that it was compiled for; None if that is not known.
    """

    model: Model
    name: str = "the model"
    prompts: Prompts | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the model."""
        return self.model.vocabulary

    @property
    def positions(self) -> int:
        """The positions of the model."""
        return self.model.context

    def logits(self, ids: Ids) -> Array:
        """[text, position] -> [text, position, n_vocab]."""
        return self.model.forward(ids)

    def empty_run(self, texts: int) -> KeysAndValues:
        """A run of so many texts.

        Raises:
            ModelError: the model has no causal mask, and so no cache.
        """
        self.model.check_masked("a cache", fix="test whole texts, by assert_means")
        return KeysAndValues(self.model, self.model.empty_cache(texts))


@dataclass
class KeysAndValues:
    """Texts that a `Model` reads piece by piece.

    Args:
        model: the model.
        cache: the keys and values of what was read.
    """

    model: Model
    cache: Cache

    def extend(self, ids: Ids) -> Array:
        """[text, new position] -> [text, new position, n_vocab]."""
        return self.model.forward(ids, self.cache)

    def truncate(self, length: int) -> None:
        """Forget all but the first tokens."""
        self.cache.truncate(length)

    def pick(self, texts: Ids) -> None:
        """Keep some of the texts."""
        self.cache = self.cache.rows(texts)
