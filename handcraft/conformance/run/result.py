"""What came of a case, and of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal[
    "passed",
    "failed",
    "crashed",
    "hung",
    "error",
    "skipped",
    "failed as expected",
    "passed unexpectedly",
]

BAD: frozenset[State] = frozenset({"failed", "crashed", "hung", "error", "passed unexpectedly"})
"""The states for which a run fails."""


@dataclass(frozen=True)
class Result:
    """What came of a case.

    Args:
        id: of the case.
        model: of the case.
        state: what happened.
        says: what it says, as a sentence without its subject, which is the engine; or why the case was
            skipped.
        faults: the ids of the faults that give exactly this answer.
        seconds: how long it took.
    """

    id: str
    model: str
    state: State
    says: str = ""
    faults: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Finding:
    """Something that is broken.

    Args:
        says: what the engine does, as a sentence without its subject.
        faults: the ids of the faults that would explain it.
        cases: the ids of the cases that show it.
    """

    says: str
    faults: tuple[str, ...]
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """A pack that was run on an engine.

    Args:
        engine: its name with its settings.
        version: its version.
        dtype: in which it ran.
        pack: the hash of the pack.
        results: one for each case.
        findings: what is broken.
    """

    engine: str
    version: str
    dtype: str
    pack: str
    results: tuple[Result, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is broken that was not expected to be."""
        return not any(result.state in BAD for result in self.results)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many cases there are of each state."""
        states = [result.state for result in self.results]
        return {state: states.count(state) for state in dict.fromkeys(states)}
