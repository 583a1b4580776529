"""Test any model against what it should answer: assertions, Hypothesis strategies and a pytest plugin.

Needs the extra `testing` (Hypothesis); `assert_means` works without it if no strategy makes the
prompts.
"""

from typing import TYPE_CHECKING

from handcraft.on_use import imported_on_use

if TYPE_CHECKING:
    from handcraft.testing.agreement import assert_agreement
    from handcraft.testing.cache_against_full import cache_machine
    from handcraft.testing.later_tokens import assert_causal
    from handcraft.testing.means.assertion import assert_means
    from handcraft.testing.means.found import Agreement, Disagreement, Margin
    from handcraft.testing.means.thinnest import thinnest_margin
    from handcraft.testing.models.answering import Answering, Caching
    from handcraft.testing.models.as_model import as_model
    from handcraft.testing.prompt_strategy import prompts
    from handcraft.testing.rule_cases import RuleCase, parametrize
    from handcraft.testing.sequences import declared_prompts, expressions, sequence_programs
    from handcraft.testing.strategies import contexts, patterns, rule_programs, vocabularies
    from handcraft.testing.writing import assert_writes
else:
    __getattr__, __dir__ = imported_on_use(
        __name__,
        {
            "handcraft.testing.agreement": ("assert_agreement",),
            "handcraft.testing.cache_against_full": ("cache_machine",),
            "handcraft.testing.later_tokens": ("assert_causal",),
            "handcraft.testing.means.assertion": ("assert_means",),
            "handcraft.testing.means.found": ("Agreement", "Disagreement", "Margin"),
            "handcraft.testing.means.thinnest": ("thinnest_margin",),
            "handcraft.testing.models.answering": ("Answering", "Caching"),
            "handcraft.testing.models.as_model": ("as_model",),
            "handcraft.testing.prompt_strategy": ("prompts",),
            "handcraft.testing.rule_cases": ("RuleCase", "parametrize"),
            "handcraft.testing.sequences": ("declared_prompts", "expressions", "sequence_programs"),
            "handcraft.testing.strategies": ("contexts", "patterns", "rule_programs", "vocabularies"),
            "handcraft.testing.writing": ("assert_writes",),
        },
    )

__all__ = [
    "Agreement",
    "Answering",
    "Caching",
    "Disagreement",
    "Margin",
    "RuleCase",
    "as_model",
    "assert_agreement",
    "assert_causal",
    "assert_means",
    "assert_writes",
    "cache_machine",
    "contexts",
    "declared_prompts",
    "expressions",
    "parametrize",
    "patterns",
    "prompts",
    "rule_programs",
    "sequence_programs",
    "thinnest_margin",
    "vocabularies",
]
