"""Attempts to prove a claim: for windows, by cases, text by text."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handcraft_check.by_cases.found import BudgetError, Found
from handcraft_check.by_cases.parts import Parts
from handcraft_check.by_cases.policy import StuckError, Way
from handcraft_check.by_cases.proof import Proof
from handcraft_check.by_cases.saved import Saved
from handcraft_check.by_windows.window_proof import prove_windows
from handcraft_check.by_windows.windows import UnfitError
from handcraft_check.claim import Claim, read_claim
from handcraft_check.errors import CheckError
from handcraft_check.folder.key import key_of
from handcraft_check.refute import is_context, lead_after, wrong_after, wrong_at
from handcraft_check.unmasked import prove_unmasked
from handcraft_check.verdict import Word

BUDGETS = (1 << 13, 1 << 17, 1 << 21)
"""How many cases the attempts may take; each is tried with undecided positions, then without."""

FEW = 1 << 15
"""So few texts are also tried one by one if windows show less than `CLOSE`."""

CLOSE = 0.9
"""The part of the margin of a run that a proof should reach after the same context."""


@dataclass(frozen=True)
class Shown:
    """What was shown of a claim in one arithmetic.

    Args:
        word: ``proved``, ``unproved`` or ``refuted``.
        found: the least margin, and where it is; of a refuted claim, at most the margin there.
        reason: why it is not proved.
        position: where the bound is too wide in the text that `found` names; None where no bound is.
        ran_out: whether the reason is that it takes more cases than it may, so that a larger budget may
            prove the claim.
    """

    word: Word
    found: Found
    reason: str = ""
    ran_out: bool = False
    position: int | None = None

    @classmethod
    def of_too_many(cls, budget: int, found: Found | None = None) -> Shown:
        """Nothing was shown, since it takes more cases than the budget.

        Args:
            budget: how many cases were tried at most.
            found: the least margin that could not be excluded, where one is known.

        >>> Shown.of_too_many(8192).reason
        'it takes more than 8,192 cases'
        """
        least = Found(-np.inf) if found is None else found
        return cls("unproved", least, f"it takes more than {budget:,} cases", ran_out=True)

    def and_of(self, other: Shown, attention: str) -> Shown:
        """What was shown of this, which is proved, and of the next attention together."""
        named = f", with {attention} attention" if attention and other.reason else ""
        if other.word == "refuted":  # its context, whatever margins the proved ones have
            return replace(other, reason=other.reason + named)
        found = other.found.of_context(self.found.worst, self.found.margin, -1.0)
        found = found.of_context(self.found.farthest, np.inf, self.found.distance)
        cases = self.found.cases + other.found.cases
        reason = other.reason + named
        return replace(other, found=replace(found, cases=cases), reason=reason)


@dataclass(frozen=True)
class Helped:
    """Who decides parts of a proof, and where its state is kept.

    Args:
        executor: decides parts; None for nobody.
        make: makes a proof of the claim at a worker, told how it is attempted.
        saved: keeps states; None for nowhere.
        number: of the claim, where there are several.
    """

    executor: Executor | None = None
    make: Callable[[Way], Proof] | None = None
    saved: Saved | None = None
    number: int = 0

    def proof(self, claim: Claim, way: Way, progress: Callable[[str], None]) -> Proof:
        """A proof of a claim, which goes on where an earlier one was ended."""
        found = claim.proof(way)
        found.log = progress
        if self.executor is not None and self.make is not None:
            found.parts = Parts(self.executor, partial(self.make, way))
        if self.saved is not None:
            self.saved.follow(found, (self.number, way))
        return found


def proof_at(folder: Path, options: dict[str, Any], key: str, number: int, way: Way) -> Proof:
    """A proof of one of the claims of a folder, at a worker.

    Raises:
        CheckError: the worker sees other files in the folder.
    """
    if key_of(folder, options) != key:
        raise CheckError("a worker sees other files, or has another checker", folder)
    return read_claim(folder, **options).each[number].proof(way)


def attempted(
    claim: Claim, budget: int, progress: Callable[[str], None], helped: Helped | None = None
) -> Shown:
    """Try to prove a claim in one arithmetic, with more and more cases.

    Args:
        claim: made of contexts and a meaning that can be proved.
        budget: the most cases that an attempt may take.
        progress: called with what is going on, from time to time.
        helped: who decides parts, and where the state is kept.
    """
    helped = helped or Helped()
    domain = claim.domain
    if not domain.causal:
        return _attempted_unmasked(claim, budget, progress)
    try:
        found = prove_windows(
            claim.model, claim.token_ids, domain, claim.meaning, budget=budget, log=progress
        )
        windows = Shown("proved", found)
        if domain.prefixes(FEW) > FEW or not _is_far(claim, found):
            return windows
        progress(f"at all positions at once by {found.margin:.6g}; cases may show more")
    except BudgetError:  # cases position by position would be more
        return Shown.of_too_many(budget)
    except UnfitError as error:
        if error.context and (wrong := wrong_after(claim, error.context)):
            return Shown("refuted", Found(lead_after(claim, error.context), error.context), wrong)
        progress(f"not at all positions at once: {error}")
        return _attempted_by_cases(claim, budget, progress, helped)
    cases = _attempted_by_cases(claim, min(budget, BUDGETS[1]), progress, helped)
    is_less = cases.word == "unproved" or cases.found.margin < found.margin
    return windows if is_less and cases.word != "refuted" else cases


def _is_far(claim: Claim, found: Found) -> bool:
    """Whether a run has a much larger margin after the context with the least proved margin.

    This is also true if that context is not allowed, because sets of tokens may allow more texts than
    the program does. It is false for probabilities, which are compared in another way.
    """
    if claim.meaning.within is not None:
        return False
    places = [claim.meaning.vocabulary.index(token) for token in found.worst]
    return not is_context(claim, places) or found.margin < CLOSE * lead_after(claim, found.worst)


def _attempted_by_cases(
    claim: Claim, budget: int, progress: Callable[[str], None], helped: Helped
) -> Shown:
    """Try to prove a claim position by position, for a model with a causal mask."""
    domain = claim.domain
    spent, least, failed = 0, Found(-np.inf), Shown.of_too_many(budget)
    orders = claim.proof("texts").orders
    ways: list[Way] = ["sets", "texts"] if orders else ["texts"]
    if not orders and claim.model.config.is_rotary:  # equal texts in any order are one
        ways = ["anywhere", "texts"]
    attempts = {way: helped.proof(claim, way, progress) for way in ways}
    for limit in (each for each in BUDGETS if each <= budget):
        is_few = not orders or domain.prefixes(limit) <= limit
        is_next = is_few and limit > BUDGETS[0]  # each text is one case before sets are tried further
        for way, attempt in sorted(attempts.items(), reverse=is_next and orders):
            if way == "texts" and ((limit < budget and not is_few) or "anywhere" in attempts):
                continue
            attempt.budget = budget if way == "texts" and is_few and orders else limit
            try:
                return Shown("proved", attempt.run())
            except BudgetError:
                spent = spent or limit
                least = least if least.worst else attempt.found
            except StuckError as stuck:
                least = Found(stuck.margin, stuck.case)
                failed = Shown("unproved", least, stuck.why, position=stuck.position)
                if wrong := wrong_after(claim, stuck.case):
                    return Shown("refuted", replace(least, margin=lead_after(claim, stuck.case)), wrong)
                if way == "texts":
                    return failed
                del attempts[way]
    return Shown.of_too_many(spent, least) if failed.ran_out else failed


def _attempted_unmasked(claim: Claim, budget: int, progress: Callable[[str], None]) -> Shown:
    """Try to prove a claim text by text, for a model without a causal mask."""
    given = claim.model, claim.token_ids, claim.domain, claim.meaning
    try:
        return Shown("proved", prove_unmasked(*given, budget=budget, log=progress))
    except BudgetError:
        return Shown.of_too_many(budget)
    except StuckError as stuck:
        least = Found(stuck.margin, stuck.case)
        wrong, most = wrong_at(claim, stuck.case, stuck.position)
        if wrong:
            return Shown("refuted", replace(least, margin=most), wrong)
        return Shown("unproved", least, stuck.why, position=stuck.position)


def unsupported(claim: Claim) -> str:
    """Why nothing can be proved of a claim, in words; empty where an attempt can be made."""
    if not claim.domain.causal and claim.domain.writes > 1:
        return "without a causal mask nothing is written"
    return ""
