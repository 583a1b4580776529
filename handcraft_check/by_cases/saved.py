"""The state of a long proof in a file: a proof that was ended goes on from there.

The file is a pickle of a few kinds of objects, and nothing else is made of it: what names anything
else is no state (https://docs.python.org/3/library/pickle.html#restricting-globals).
"""

from __future__ import annotations

import os
import pickle
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handcraft_check.by_cases.policy import Way

if TYPE_CHECKING:
    from handcraft_check.by_cases.proof import Proof

EVERY = 10.0
"""Seconds between two times at which the state is saved; more where saving takes long."""

SHARE = 0.05
"""Saving takes no more than this share of the time."""

KINDS = {
    ("builtins", "Ellipsis"),
    ("builtins", "frozenset"),
    ("builtins", "set"),
    ("fractions", "Fraction"),
    ("handcraft_check.by_cases.cases", "Entries"),
    ("handcraft_check.by_cases.policy", "Forgotten"),
    ("handcraft_check.by_cases.policy", "Policy"),
    ("handcraft_check.by_cases.found", "Found"),
    ("handcraft_check.by_cases.found", "Level"),
    ("handcraft_check.arithmetic.rounding", "Bounded"),
    ("handcraft_check.by_cases.states", "Store"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *(
        (f"numpy.{core}.{part}", name)
        for core in ("core", "_core")
        for part, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    ),
}
"""All that a state is made of."""

Name = tuple[int, Way]
"""Which attempt a state is of: the number of the claim, and how it is attempted."""


class Saved:
    """States of attempts, in a file.

    Args:
        path: the file. One that is damaged, or about another key, is not used.
        key: a hash of all that the proof depends on.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self._states: dict[Name, dict[str, Any]] = self._read()
        self._due = time.monotonic() + EVERY

    def follow(self, proof: Proof, name: Name) -> None:
        """Let a proof go on from its state, if there is one, and save it from now on."""
        if name in self._states:
            proof.go_on(self._states.pop(name))
        proof.saved = lambda: self._note(proof, name)

    def remove(self) -> None:
        """The proof is decided: no state is needed any more."""
        self.path.unlink(missing_ok=True)

    def _note(self, proof: Proof, name: Name) -> None:
        """Save the state of a proof, if it is time, with those of others as they were last."""
        if time.monotonic() < self._due:
            return
        began = time.monotonic()
        self._states[name] = proof.state
        part = self.path.with_name(f"{self.path.name}.part")
        with part.open("wb") as file:
            pickle.dump((self.key, self._states), file, protocol=5)
        os.replace(part, self.path)
        now = time.monotonic()
        self._due = now + max(EVERY, (now - began) / SHARE)

    def _read(self) -> dict[Name, dict[str, Any]]:
        try:
            key, states = _Reader(BytesIO(self.path.read_bytes())).load()
        except FileNotFoundError:
            return {}
        except Exception:  # whatever a damaged file makes of it
            return {}
        return dict(states) if key == self.key else {}


class _Reader(pickle.Unpickler):
    """Reads a pickle of `KINDS`."""

    def find_class(self, module: str, name: str) -> Any:
        """One of the kinds.

        Raises:
            UnpicklingError: it is none.
        """
        if (module, name) not in KINDS:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a state")
        return super().find_class(module, name)
