"""For tests of programs, yours and ours: Hypothesis strategies and one assertion.

Needs the extra `testing` (Hypothesis).
"""

from handcraft.testing.agreement import assert_agreement
from handcraft.testing.sequences import declared_prompts, expressions, sequence_programs
from handcraft.testing.strategies import contexts, patterns, rule_programs, vocabularies

__all__ = [
    "assert_agreement",
    "contexts",
    "declared_prompts",
    "expressions",
    "patterns",
    "rule_programs",
    "sequence_programs",
    "vocabularies",
]
