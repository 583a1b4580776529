"""The encodings of tokens and positions that can be asked for by name, instead of by size."""

from __future__ import annotations

from dataclasses import dataclass

from handcraft.errors import CompileError

TOKENS = ("auto", "one-hot", "binary")
"""Encodings of tokens."""

POSITIONS = ("auto", "one-hot", "binary", "sinusoidal")
"""Encodings of positions."""


@dataclass(frozen=True)
class Encodings:
    """How tokens and positions are encoded; with ``auto`` what makes the smallest model is chosen.

    Args:
        tokens: ``one-hot`` has a dimension for each token, ``binary`` the bits of its id.
        positions: what heads compare where they look for a position: ``one-hot`` a dimension for each,
            ``binary`` the bits of its number, ``sinusoidal`` cosines and sines of it.

    Raises:
        CompileError: there is no encoding of that name.
    """

    tokens: str = "auto"
    positions: str = "auto"

    def __post_init__(self) -> None:
        for of, name, names in (
            ("positions", self.positions, POSITIONS),
            ("tokens", self.tokens, TOKENS),
        ):
            if name not in names:
                raise CompileError(
                    f"there is no encoding of {of} {name!r}", fix=f"use one of: {', '.join(names)}"
                )


AUTO = Encodings()
"""No encoding is asked for."""
