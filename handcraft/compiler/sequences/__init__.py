"""Expressions to circuits: small passes, each of which keeps every value."""

from handcraft.compiler.sequences.compile_decisions import pattern_ways, plan_rules
from handcraft.compiler.sequences.compile_sequences import compile_sequences
from handcraft.compiler.sequences.compiled_sequences import CompiledSequences

__all__ = ["CompiledSequences", "compile_sequences", "pattern_ways", "plan_rules"]
