"""For tests of programs, yours and ours: Hypothesis strategies and one assertion.

Needs the extra `testing` (Hypothesis).
"""

from handcraft.testing.agreement import assert_agreement
from handcraft.testing.strategies import contexts, patterns, rule_programs, vocabularies

__all__ = ["assert_agreement", "contexts", "patterns", "rule_programs", "vocabularies"]
