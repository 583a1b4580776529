"""The allowed prompts of a program: all of them, those of some contexts, and random ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from handcraft.errors import CommandError
from handcraft.language import Prompts
from handcraft.language.regular.matching import Matching
from handcraft.model import Model
from handcraft.verify.texts.batch import SAMPLE_ROWS, Batch, Ids, Part, Prefixes, in_parts

Flags = npt.NDArray[np.bool_]

DRAWN = 10_000
"""How many allowed prompts are drawn by default: the oracle takes up to 1 ms for each."""

BEGINNING = 40_000
"""The same where prefixes of the drawn texts are allowed prompts too, which cost nothing."""

TRIED_FIRST = 256
"""How many texts are drawn to estimate how many of a text's prefixes are allowed prompts."""

BY_HYPOTHESIS = 2_000
"""How many at most where Hypothesis draws them, which takes ten times as long."""


def is_restricted(prompts: Prompts | None) -> bool:
    """Whether some texts are not allowed as prompts."""
    return prompts is not None and (prompts.inputs is not None or prompts.bos is not None)


def allowed_contexts(batch: Batch, prompts: Prompts) -> Batch:
    """The answers of a batch whose contexts are allowed prompts."""
    allowed = np.zeros(len(batch), dtype=bool)
    for length in np.unique(batch.lengths).tolist():
        here = batch.lengths == length
        allowed[here] = prompts.allowed(batch.texts[batch.rows[here], :length])
    return batch.only(allowed)


@dataclass(frozen=True)
class Allowed:
    """Those contexts of a part that are allowed prompts."""

    part: Part

    def __call__(self, model: Model, prompts: Prompts | None) -> Iterator[Batch]:
        """Run the part."""
        assert prompts is not None
        for batch in self.part(model, prompts):
            yield allowed_contexts(batch, prompts)


def drawn_texts(prompts: Prompts, count: int, seed: int) -> Iterator[Ids]:
    """Allowed prompts drawn at random, each once, as places in the vocabulary: [text, position].

    They are inputs, without anything that the program writes; since each input makes several
    prompts, there are fewer than `count`. A regular expression gives about equally many of each length;
    from a strategy, Hypothesis draws fewer.
    """
    known = inputs_of(prompts)
    wanted = -(-count // prompts.writes)
    if known is not None:
        yield from (np.unique(rows, axis=0) for rows in known.draw(wanted, seed))
    else:
        yield from _by_hypothesis(prompts, min(wanted, BY_HYPOTHESIS), seed)


def drawn_prefixes(prompts: Prompts, count: int, seed: int) -> Iterator[Part]:
    """Allowed prompts drawn at random, with those of their prefixes that are allowed prompts too.

    There are about `count` of them, prefixes counted. The model must have a causal mask: one run
    answers a text and all its prefixes.
    """
    some = [*drawn_texts(prompts, TRIED_FIRST, seed)]
    each = max(
        1, sum(int(prefixes(prompts, rows).sum()) for rows in some) / max(1, sum(map(len, some)))
    )
    for rows in drawn_texts(prompts, ceil(count / each), seed):
        for start in range(0, len(rows), SAMPLE_ROWS):
            texts = rows[start : start + SAMPLE_ROWS]
            chosen = prefixes(prompts, texts)
            for part in in_parts(*texts.shape):
                yield Prefixes(texts[part], chosen=chosen[part].reshape(-1))


def prefixes(prompts: Prompts, texts: Ids) -> Flags:
    """Which prefixes of texts are allowed prompts, each once: [text, position of the last token].

    The texts, [text, position], are in order, so that those that begin alike follow one another.
    """
    allowed = np.stack([prompts.allowed(texts[:, : n + 1]) for n in range(texts.shape[1])], axis=1)
    allowed[1:] &= ~np.logical_and.accumulate(texts[1:] == texts[:-1], axis=1)
    return np.asarray(allowed)


def inputs_of(prompts: Prompts) -> Matching | None:
    """The allowed prompts of which nothing is written, as places; None if only Python code decides."""
    is_known = prompts.inputs is None or isinstance(prompts.inputs, str)
    return prompts.texts if is_known else None


def _by_hypothesis(prompts: Prompts, count: int, seed: int) -> Iterator[Ids]:
    """Allowed prompts that the strategy of some prompts makes."""
    places = {token: place for place, token in enumerate(prompts.vocabulary.tokens)}
    texts: dict[int, list[list[int]]] = {}
    for tokens in _draw(prompts, count, seed):
        prompts.vocabulary.ids(tokens)  # raises where a strategy makes unknown ones
        if prompts.is_input(tokens):
            texts.setdefault(len(tokens), []).append([places[token] for token in tokens])
    for rows in texts.values():
        yield np.unique(np.array(rows, dtype=np.int64), axis=0)


def _draw(prompts: Prompts, count: int, seed: int) -> list[tuple[str, ...]]:
    try:
        import hypothesis
    except ImportError:
        raise CommandError(
            "allowed prompts are drawn with Hypothesis, which is not installed",
            fix="pip install 'handcraft[testing]'",
        ) from None
    texts = prompts.inputs
    assert texts is not None  # what a `bos` alone says can be listed
    assert not isinstance(texts, str)  # and so can what a regular expression does
    found: list[tuple[str, ...]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(texts)
    def collect(text: object) -> None:
        tokens = prompts.vocabulary.split(text) if isinstance(text, str) else tuple(text)  # type: ignore[arg-type]
        if prompts.bos is not None and tokens[:1] != (prompts.bos,):
            tokens = (prompts.bos, *(t for t in tokens if t != prompts.bos))
        found.append(tuple(tokens))

    collect()
    return found
