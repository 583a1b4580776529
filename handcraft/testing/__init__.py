"""For tests of programs, yours and ours: Hypothesis strategies and two assertions.

Needs the extra `testing` (Hypothesis).
"""

from handcraft.testing.agreement import assert_agreement
from handcraft.testing.sequences import declared_prompts, expressions, sequence_programs
from handcraft.testing.strategies import contexts, patterns, rule_programs, vocabularies
from handcraft.testing.writing import assert_writes

__all__ = [
    "assert_agreement",
    "assert_writes",
    "contexts",
    "declared_prompts",
    "expressions",
    "patterns",
    "rule_programs",
    "sequence_programs",
    "vocabularies",
]
