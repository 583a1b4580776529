"""A state machine that compares a model with a cache to the same model without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from handcraft.errors import HandcraftError
from handcraft.testing.models.answering import Array, CachedRun, Ids
from handcraft.testing.models.as_model import Tokens, as_model
from handcraft.testing.models.checked import CheckedModel
from handcraft.testing.profiles import profile

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine

TEXTS = 4
"""The most texts that are read at once."""

FEW = 4
"""The most tokens of a piece, if it is not all that there is room for."""

LONGEST = 16
"""The most tokens of a text, where a model reads more or does not say how many."""

CLOSE = 1e-4
"""The largest difference, as a share of the largest logit: sums are rounded in another order."""


def cache_machine(
    model: object,
    *,
    vocabulary: Tokens | None = None,
    longest: int | None = None,
    texts: int = TEXTS,
    tolerance: float = CLOSE,
) -> type[RuleBasedStateMachine]:
    """A test that runs texts piece by piece with a cache, and compares each answer with a full run.

    Several texts are run at once, in pieces of any length. In between the last tokens are removed and
    others follow; texts are left out, reordered, or duplicated.

    Args:
        model: anything with a cache that `as_model` takes: a model of handcraft or of transformers.
        vocabulary: the tokens of the model, if the model does not state them.
        longest: the most tokens of a text.
        texts: the most texts that are run at once.
        tolerance: the largest difference of two logits, as a share of the largest logit.

    Returns:
        A class; in a test file write ``TestCache = cache_machine(model).TestCase``.

    Raises:
        AnswerError: the model has no cache.
    """
    import hypothesis
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

    subject = CheckedModel.of(as_model(model, vocabulary=vocabulary))
    subject.run_of(1)
    most = min(longest or LONGEST, subject.model.positions or LONGEST)
    size = len(subject.vocabulary)
    token = st.integers(0, size - 1)

    class CacheMachine(RuleBasedStateMachine):
        """Texts that are read with a cache."""

        @initialize(how_many=st.integers(1, texts))
        def begin(self, how_many: int) -> None:
            self.reading = Reading(subject, how_many, tolerance)

        @precondition(lambda self: self.reading.length < most)
        @rule(data=st.data())
        def read(self, data: st.DataObject) -> None:
            """Read some tokens more of every text."""
            left = most - self.reading.length
            few = st.integers(1, min(left, FEW))
            new = data.draw(st.one_of(few, st.just(left)), label="how many tokens")
            count = self.reading.texts * new
            tokens = data.draw(st.lists(token, min_size=count, max_size=count), label="tokens")
            self.reading.extend(np.array(tokens, dtype=np.int64).reshape(-1, new))

        @precondition(lambda self: self.reading.length > 0)
        @rule(data=st.data())
        def forget(self, data: st.DataObject) -> None:
            """Forget the last tokens of every text, and read others."""
            kept = data.draw(st.integers(0, self.reading.length - 1), label="tokens that are kept")
            self.reading.truncate(kept)
            self.read(data)

        @precondition(lambda self: 0 < self.reading.length < most)
        @rule(data=st.data())
        def pick(self, data: st.DataObject) -> None:
            """Keep some texts, perhaps several times or in another order, and read on."""
            there = range(self.reading.texts)
            some = st.lists(st.sampled_from(there), min_size=1, max_size=texts)
            which = st.one_of(some, st.permutations(there))
            self.reading.pick(np.array(data.draw(which, label="texts"), dtype=np.int64))
            self.read(data)

    chosen = profile()
    test: Any = CacheMachine.TestCase
    test.settings = hypothesis.settings(
        max_examples=chosen.runs,
        stateful_step_count=chosen.steps,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    return CacheMachine


class Reading:
    """Texts of one length that are read with a cache; each answer is compared with a full run.

    Args:
        subject: the model.
        texts: how many texts.
        tolerance: the largest difference, as a share of the largest logit.
    """

    def __init__(self, subject: CheckedModel, texts: int, tolerance: float) -> None:
        self.subject = subject
        self.tolerance = tolerance
        self.seen: Ids = np.zeros((texts, 0), dtype=np.int64)
        self.steps: list[str] = []
        """What was done, in words."""
        self._run: CachedRun = subject.run_of(texts)

    @property
    def texts(self) -> int:
        """How many texts are read."""
        return len(self.seen)

    @property
    def length(self) -> int:
        """How many tokens of each were read."""
        return int(self.seen.shape[1])

    def extend(self, texts: Ids) -> None:
        """Read further tokens, [text, position], and compare the logits at each.

        Raises:
            AssertionError: they differ from those of a full run.
            AnswerError: the model fails.
        """
        __tracebackhide__ = True
        self.seen = np.hstack([self.seen, texts])
        self.steps.append(f"read {texts.shape[1]}")
        try:
            returned = self._run.extend(self.subject.in_ids(texts))
        except HandcraftError:
            raise
        except Exception as error:
            raise self.subject.failed(error, self.seen[0]) from error
        new = texts.shape[1]
        found = self.subject.columns(returned, texts, new, prompts=self.seen)
        full = self.subject.logits(self.seen, everywhere=True)[:, -new:]
        self._compare(found, full)

    def truncate(self, length: int) -> None:
        """Forget all but the first tokens."""
        self.steps.append(f"keep the first {length}")
        self.seen = self.seen[:, :length]
        self._run.truncate(length)

    def pick(self, texts: Ids) -> None:
        """Keep some of the texts, in this order."""
        self.steps.append(f"keep the texts {', '.join(map(str, texts.tolist()))}")
        self.seen = self.seen[texts]
        self._run.pick(texts)

    def _compare(self, found: Array, full: Array) -> None:
        __tracebackhide__ = True
        largest = np.maximum(1, np.abs(np.where(np.isfinite(full), full, 0)).max(axis=2, keepdims=True))
        with np.errstate(invalid="ignore"):  # -inf less -inf
            apart = np.where(found == full, 0, np.abs(found - full))
        if (apart <= self.tolerance * largest).all():
            return
        row, place, column = np.argwhere(~(apart <= self.tolerance * largest))[0].tolist()
        end = self.length - found.shape[1] + place + 1
        prompt = self.subject.text(self.seen[row, :end].tolist())
        token = self.subject.token(column)
        cached, alone = (float(each[row, place, column]) for each in (found, full))
        most = float(np.nanmax(apart))
        raise AssertionError(
            f"after {prompt!r} {self.subject.model.name} gives {token!r} the logit "
            f"{cached:.6g} with a cache, and {alone:.6g} without\n"
            f"  where:  text {row} of {self.texts}, position {end - 1}\n"
            f"  steps:  {'; '.join(self.steps)}\n"
            f"  differ: by {most:.6g} at most; {self.tolerance:g} of the largest logit is allowed"
        )
