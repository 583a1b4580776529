"""What a folder says of its own proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Wanted: TypeAlias = Literal["never", "quick", "required"]
"""Whether a proof is tried when a folder is written: never, where it takes seconds, or in any case."""


@dataclass(frozen=True)
class Proof:
    """What handcraft.json says of a proof that was tried when the folder was written.

    Args:
        verdict: "proved", "unproved", "refuted", or "sampled" where no proof was tried.
        contexts: the number of contexts that it is about.
        why: why it is not proved.
        margin: how far the right token's logit leads at least, where it is proved.
    """

    verdict: str
    contexts: int = 0
    why: str = ""
    margin: float = 0

    def __str__(self) -> str:
        if self.verdict == "proved":
            return f"proved: after each of {self.contexts:,} contexts, margin at least {self.margin:g}"
        return f"sampled, and not proved: {self.why}"
