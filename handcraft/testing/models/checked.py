"""A model under test whose answers are checked: every fault of it is an error that names the prompt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handcraft.display import shorten_value
from handcraft.errors import AnswerError, HandcraftError, VocabularyError
from handcraft.testing.models.answering import Answering, Array, CachedRun, Ids
from handcraft.vocabulary import Vocabulary, shorten

NUMBERS = 1 << 22
"""About how many logits are made at once."""

ROWS = 1 << 12
"""How many texts are run at once at most."""

NUMERIC = "return an array of numbers"
SHAPES = (
    "return [text, position, n_vocab], or [text, 1, n_vocab] of the last position; a function, which "
    "reads one text, returns [n_vocab] or [position, n_vocab]"
)


@dataclass(frozen=True)
class CheckedModel:
    """A model that answers texts over some of its tokens.

    Texts are places in `vocabulary`, and so are the first columns of logits: the tokens of `vocabulary`
    in order, then all other ids of the model.

    Args:
        model: the model under test.
        vocabulary: the tokens that texts are made of; the model has all of them.
    """

    model: Answering
    vocabulary: Vocabulary

    @classmethod
    def of(cls, model: Answering, tokens: Iterable[str] | None = None) -> CheckedModel:
        """A model, and the tokens to test it with: by default all of its own.

        Raises:
            VocabularyError: the model lacks some of them.
        """
        own = model.vocabulary
        wanted = tuple(own.tokens if tokens is None else tokens)
        missing = [token for token in wanted if token not in own]
        if missing:
            raise VocabularyError(
                f"{model.name} has no token {shorten([repr(token) for token in missing], 4)}",
                where=f"its {len(own)} tokens: {shorten(own.tokens)}",
                fix="test it with its own tokens; or, if only their names differ, give vocabulary= "
                "with the names in the order of their ids",
            )
        return cls(model, Vocabulary(wanted))

    def text(self, prompt: Iterable[int]) -> str:
        """A prompt as text."""
        return self.vocabulary.join(self.vocabulary.tokens[place] for place in prompt)

    def token(self, column: int) -> str:
        """The token of a column of the logits; the id in angle brackets where it has no name."""
        if column < len(self.vocabulary):
            return self.vocabulary.tokens[column]
        others = np.setdiff1d(np.arange(column + 1), self._ids)
        return self.model.vocabulary.token(int(others[column - len(self.vocabulary)]))

    def check_length(self, longest: int, of: str) -> None:
        """Raise unless the model can read texts of so many tokens, as far as that is known."""
        most = self.model.positions
        if most is not None and longest > most:
            raise AnswerError(
                f"{of} have up to {longest} tokens, and {self.model.name} reads {most}",
                where=f"the positions of {self.model.name}",
                fix=f"give longest={most}, or a model with {longest} positions",
            )

    def logits(self, texts: Ids, *, everywhere: bool = False) -> Array:
        """The logits after texts of one length: [text, position] -> [text, 1, column].

        Args:
            texts: places in the vocabulary.
            everywhere: at every position: [text, position, column].

        Raises:
            AnswerError: the model raised an error, or what it returned are no logits; it names one of
                the texts.
        """
        found: list[Array] = []
        start, rows = 0, 1  # the first text says how many logits there are
        while start < len(texts):
            part = self._run(texts[start : start + rows], everywhere)
            found.append(part)
            start += rows
            rows = max(1, min(ROWS, NUMBERS // (texts.shape[1] * part.shape[-1])))
        return np.concatenate(found)

    def columns(
        self, returned: object, texts: Ids, places: int, *, prompts: Ids | None = None
    ) -> Array:
        """What a model returned as logits, checked, with its columns in order.

        Args:
            returned: what it returned: [text, place, n_vocab].
            texts: what it was given, [text, position].
            places: the last so many places are wanted.
            prompts: the texts that errors name, if they are not those that it was given.
        """
        named = texts if prompts is None else prompts
        logits = np.asarray(returned)
        if not np.issubdtype(logits.dtype, np.number) or np.iscomplexobj(logits):
            raise self._error(f"{shorten_value(returned)} is no logits", named[0], "type", NUMERIC)
        if logits.ndim == 2:  # of the last position
            logits = logits[:, None]
        short = logits.ndim != 3 or len(logits) != len(texts) or logits.shape[1] < places
        if short or logits.shape[1] not in (1, texts.shape[1]):
            what = f"it returned {list(logits.shape)} for {len(texts)} texts of {texts.shape[1]} "
            raise self._error(f"{what}tokens", named[0], "shape", SHAPES)
        if logits.shape[2] <= self._ids.max():
            token = self.vocabulary.tokens[self._last]
            what = f"it gives {logits.shape[2]} logits, and {token!r} has the id {self._ids.max()}"
            fix = "give vocabulary= the tokens that it has, in the order of their ids"
            raise self._error(what, named[0], "vocabulary", fix)
        logits = logits[:, -places:]
        bad = np.isnan(logits) | (logits == np.inf)
        if bad.any():
            row, place, column = np.argwhere(bad)[0].tolist()
            text = named[row] if places == 1 else named[row, : named.shape[1] - places + place + 1]
            number = logits[row, place, column]
            raise self._error(
                f"the logit of {self.model.vocabulary.token(column)!r} is {number}",
                text,
                "number",
                "look for a division by 0, an overflow, or a softmax of nothing but -inf",
            )
        others = np.setdiff1d(np.arange(logits.shape[2]), self._ids)
        return np.asarray(logits[:, :, np.concatenate([self._ids, others])])

    def in_ids(self, texts: Ids) -> Ids:
        """Texts of places as texts of ids."""
        return np.asarray(self._ids[texts])

    def run_of(self, texts: int) -> CachedRun:
        """A run of so many texts with a cache.

        Raises:
            AnswerError: the model has no cache.
        """
        begin = getattr(self.model, "empty_run", None)
        if begin is None:
            raise AnswerError(
                f"{self.model.name} has no cache that can be tested",
                where=f"{type(self.model).__name__} has no method empty_run",
                fix="test a Model or a model of transformers, or give the methods of Caching",
            )
        run: CachedRun = begin(texts)
        return run

    def failed(self, error: Exception, prompt: Ids) -> AnswerError:
        """The error for a model that raised one."""
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return self._error(
            f"it raised {said}", prompt, type(error), "mend the model, or allow no such prompts"
        )

    def _run(self, texts: Ids, everywhere: bool) -> Array:
        try:
            returned = self.model.logits(self.in_ids(texts))
        except HandcraftError:
            raise
        except Exception as error:
            if len(texts) == 1:
                raise self.failed(error, texts[0]) from error
            for text in texts:  # which raises for the first text that is the cause
                self._run(text[None], everywhere)
            raise AnswerError(
                f"{self.model.name} raised {type(error).__name__}: {error}",
                where=f"{len(texts)} texts at once, such as {self.text(texts[0])!r}; each alone works",
                fix="mend how it runs several texts, [text, position]",
            ) from error
        return self.columns(returned, texts, texts.shape[1] if everywhere else 1)

    def _error(self, what: str, prompt: Ids, kind: object, fix: str) -> AnswerError:
        text = self.text(prompt.tolist())
        where = f"{self.model.name}, after the prompt {shorten_value(text)}"
        return AnswerError(what, where=where, fix=fix, kind=kind, prompt=tuple(prompt.tolist()))

    @cached_property
    def _ids(self) -> Ids:
        """[token]: the id that the model has for each token."""
        own = self.model.vocabulary
        return np.array([own.id(token) for token in self.vocabulary.tokens], dtype=np.int64)

    @cached_property
    def _last(self) -> int:
        """The token with the highest id."""
        return int(self._ids.argmax())
