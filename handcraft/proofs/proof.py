"""What a folder says of its own proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from handcraft_check.words import at_least

Wanted: TypeAlias = Literal["never", "quick", "required"]
"""Whether a proof is tried when a folder is written: never, where it takes seconds, or in any case."""


@dataclass(frozen=True)
class Proof:
    """What handcraft.json says of the proof that was tried when the folder was written.

    Args:
        verdict: "proved", "unproved" or "refuted".
        inputs: how many inputs it is about.
        writes: how many tokens the program writes after each.
        why: why it is not proved.
        margin: how far the right token's logit leads at least, where it is proved.
    """

    verdict: str
    inputs: int = 0
    writes: int = 1
    why: str = ""
    margin: float = 0

    def __str__(self) -> str:
        if self.verdict == "proved":
            return (
                f"proved: right after {self.domain}, with a logit margin of at least "
                f"{at_least(self.margin)} in float32"
            )
        return f"sampled, and not proved: {self.why}"

    @property
    def domain(self) -> str:
        """What it is about, in words."""
        more = f", and at each of the {self.writes} tokens written then" if self.writes > 1 else ""
        return f"every one of {self.inputs:,} prompts{more}"
