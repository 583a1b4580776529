"""Files of cases to skip, and of cases that are expected to fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from handcraft.conformance.pack.case import Case
from handcraft.errors import ConformanceError


@dataclass(frozen=True)
class Expected:
    """A line of such a file: a pattern of ids, and the reason.

    Args:
        pattern: of ids, as a shell has it; or ``flag:NAME`` for all cases with a flag.
        reason: why.
    """

    pattern: str
    reason: str

    def is_of(self, case: Case) -> bool:
        """Whether the line is about a case."""
        kind, _, flag = self.pattern.partition(":")
        return flag in case.flags if kind == "flag" else fnmatchcase(case.id, self.pattern)


def read_expected(path: Path, cases: Sequence[Case]) -> tuple[Expected, ...]:
    """The lines of a file: a pattern, blanks, and a reason; ``#`` begins a comment.

    Raises:
        ConformanceError: it cannot be read, a line has no reason, or no case matches it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConformanceError(
            f"the file cannot be read: {error}", where=path, fix="name a text file"
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        pattern, _, reason = line.partition("#")[0].strip().partition(" ")
        if not pattern:
            continue
        expected, where = Expected(pattern, reason.strip()), f"{path}, line {number}"
        if not expected.reason:
            raise ConformanceError(
                f"{pattern} has no reason", where=where, fix="write why after the pattern"
            )
        if not any(expected.is_of(case) for case in cases):
            raise ConformanceError(
                f"no case matches {pattern}", where=where, fix="remove the line, or correct the pattern"
            )
        found.append(expected)
    return tuple(found)
