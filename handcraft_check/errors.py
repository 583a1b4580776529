"""The error of everything that cannot be checked."""

from __future__ import annotations


class CheckError(Exception):
    """Files that are damaged, contradict each other, or are too large to check.

    Args:
        what: what is wrong, with the numbers that show it.
        where: the place in a file, such as ``certificate.json: meaning.nodes[3]``.
        fix: the nearest thing that would make it right.
    """

    def __init__(self, what: str, where: object = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix

    def __str__(self) -> str:
        lines = [f"{type(self).__name__}: {self.what}"]
        if self.where is not None:
            lines.append(f"  where: {self.where}")
        if self.fix is not None:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(
            "".join(sign if sign.isprintable() else "?" for sign in line) for line in lines
        )
