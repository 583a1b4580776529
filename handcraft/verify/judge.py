"""What one part of the contexts shows: the answers of the model beside the right ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from handcraft.circuits import Circuits
from handcraft.language import Program, Prompts
from handcraft.model import Model
from handcraft.verify.exercises import Exercises
from handcraft.verify.meant import Meaning, ideal, meant_in, oracle
from handcraft.verify.probabilities import Probabilities, probabilities_of
from handcraft.verify.tally import Found, Tally
from handcraft.verify.texts.batch import Batch, Ids, Part


@dataclass(frozen=True, eq=False)
class Judge:
    """Tries parts; any process can have one.

    Args:
        model: what answers.
        source: what the answers should be.
        prompts: which texts are allowed, if not all are.
        is_sample: whether to count what a sample exercises.
        is_plain: whether only the token after each context is compared, not its probabilities.
    """

    model: Model
    source: Program | Circuits
    prompts: Prompts | None = None
    is_sample: bool = False
    is_plain: bool = False

    def __call__(self, part: Part) -> Found:
        """What is found of a part."""
        tally = Tally(self.model, self.source)
        exercises = Exercises(self.source) if self.is_sample else None
        for batch in part(self.model, self.prompts):
            if len(batch):
                batch, expected = self._meant(batch)
                after = None if self._probabilities is None else self._probabilities(batch)
                tally.add(batch, expected, after)
                if exercises is not None:
                    exercises.add(batch, expected)
        if exercises is not None:
            tally.found.counts = exercises.counts
        return tally.found

    def _meant(self, batch: Batch) -> tuple[Batch, Ids]:
        """What each answer should be, and those answers that any is meant of."""
        if self.prompts is None:
            return batch, self._meaning(batch)
        return meant_in(batch, self._meaning, is_written=self.prompts.writes > 1)

    @cached_property
    def _meaning(self) -> Meaning:
        return oracle(self.source) if isinstance(self.source, Program) else ideal(self.source)

    @cached_property
    def _probabilities(self) -> Probabilities | None:
        return None if self.is_plain else probabilities_of(self.source)
