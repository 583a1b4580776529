"""Random programs, for tests and for data sets: valid by construction, small enough to read."""

from handcraft.random_programs.choosing import Choosing, Seeded
from handcraft.random_programs.making import KINDS, Kind, Making
from handcraft.random_programs.programs import (
    make_expression_program,
    make_pattern,
    make_pattern_program,
    make_prompts,
    make_vocabulary,
)

__all__ = [
    "KINDS",
    "Choosing",
    "Kind",
    "Making",
    "Seeded",
    "make_expression_program",
    "make_pattern",
    "make_pattern_program",
    "make_prompts",
    "make_vocabulary",
]
