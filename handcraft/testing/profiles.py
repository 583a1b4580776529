"""How much is tried: the profiles dev, ci and deep.

The environment variable HANDCRAFT_PROFILE names one; `pytest --handcraft-profile` sets it. Nothing here
imports anything that takes long, for pytest reads this file in every project.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from handcraft.errors import CommandError

VARIABLE = "HANDCRAFT_PROFILE"


@dataclass(frozen=True)
class Profile:
    """How much an assertion tries by default.

    Args:
        name: its name.
        every_up_to: if there are at most this many allowed prompts, all are tried.
        sample: otherwise about this many are: half of them the shortest ones, the others random.
        examples: how many prompts Hypothesis makes if it searches for thin margins, or if a strategy
            makes the prompts.
        runs: how many times the test of a cache runs.
        steps: how many steps it takes each time.
    """

    name: str
    every_up_to: int
    sample: int
    examples: int
    runs: int
    steps: int


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("dev", every_up_to=5_000, sample=2_000, examples=100, runs=40, steps=15),
        Profile("ci", every_up_to=50_000, sample=20_000, examples=1_000, runs=200, steps=30),
        Profile("deep", every_up_to=2_000_000, sample=500_000, examples=20_000, runs=2_000, steps=60),
    )
}
"""The profiles by name, from the one that tries least to the one that tries most."""


def profile() -> Profile:
    """The profile that HANDCRAFT_PROFILE names; if it names none, ci where CI is set, else dev.

    Raises:
        CommandError: there is no such profile.
    """
    name = os.environ.get(VARIABLE) or ("ci" if os.environ.get("CI") else "dev")
    if name not in PROFILES:
        raise CommandError(
            f"there is no profile {name!r}",
            where=f"the environment variable {VARIABLE}",
            fix=f"use one of {', '.join(PROFILES)}",
        )
    return PROFILES[name]
