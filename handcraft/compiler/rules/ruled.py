"""The rules of a program on their way to circuits, pass by pass, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import ceil, isqrt

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.compiler.encodings import AUTO, Encodings
from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.assemble import assemble
from handcraft.compiler.features.assembly import Assembly
from handcraft.compiler.features.precision import ADDED_EXACTLY, SURE_SHIFT, Precision
from handcraft.compiler.features.reuse import with_reuse
from handcraft.compiler.features.text_begins import at_begin
from handcraft.compiler.passes.aggregates.counts import has_count
from handcraft.compiler.passes.aggregates.unequal import has_inequality
from handcraft.compiler.passes.cases import STEPS_UP_TO, Setting
from handcraft.compiler.passes.run_passes import BEFORE_TABLES, TABLES, run_passes
from handcraft.compiler.rules.begin_token import for_begin_token
from handcraft.compiler.rules.coded_rules import CodedRules
from handcraft.compiler.rules.rank_rules import Rank
from handcraft.compiler.rules.rule_logits import (
    SMALL_UNIT,
    UNIT,
    check_neurons,
    ends_directly,
    ranks,
    rule_neurons,
    with_rest,
    write_last_directly,
)
from handcraft.compiler.rules.rulings import (
    Ruling,
    are_exact,
    check_shares,
    nodes_of,
    read_decisions,
    with_nodes,
)
from handcraft.compiler.stage import Stage
from handcraft.dtype import dtype_named
from handcraft.errors import PrecisionError
from handcraft.language import Program
from handcraft.language.graph.domain import Plain
from handcraft.language.graph.node import Node
from handcraft.vocabulary import begin_name
from handcraft.weights import Sizes


@dataclass(frozen=True)
class Made:
    """Rules as circuits.

    Args:
        circuits: the circuits.
        is_level: whether they are precise enough only if LayerNorm always divides by the same.
        score: no query, and no attention score that must be finite, is larger, before it is made sharp.
        steps: how many heads find out whether a position is before some other.
    """

    circuits: Circuits
    is_level: bool
    score: Plain
    steps: int = 0


@dataclass(frozen=True, eq=False)
class Ruled:
    """The rules of a program; each pass runs when its result is first needed.

    Args:
        program: the program.
        target: the architecture.
        dtype: of the weights.
        reuse: whether dimensions that are read no more are used again.
        written: the rules as written.
        encodings: of tokens and positions, as asked for.
        most_steps: how many steps of a table are always accepted to save a block.
    """

    program: Program
    target: Architecture
    dtype: str
    reuse: bool
    written: Sequence[Ruling]
    encodings: Encodings = AUTO
    most_steps: int = STEPS_UP_TO

    @classmethod
    def of(
        cls,
        program: Program,
        target: Architecture,
        dtype: str,
        encodings: Encodings = AUTO,
        *,
        reuse: bool,
    ) -> Ruled:
        """Read the rules of a program."""
        rulings = read_decisions(program.decisions, program.prompts.vocabulary)
        if target.is_rotary:
            rulings = for_begin_token(program.decisions, rulings, program.prompts)
        if are_exact(rulings):
            check_shares(rulings, dtype)
        return cls(program, target, dtype, reuse, rulings, encodings)

    @cached_property
    def lowered(self) -> tuple[Stage, ...]:
        """The trees as written and after each pass up to that in which selections become heads."""
        token = self.program.prompts.token.node
        return run_passes([*nodes_of(self.written), token], self.setting, BEFORE_TABLES)

    @cached_property
    def lowered_for_bits(self) -> tuple[Stage, ...]:
        """The same where an inequality of values that become flags takes no score."""
        nodes = [*self.lowered[0].nodes]
        if not has_inequality(nodes) and not has_count(nodes, self.setting):
            return self.lowered
        return run_passes(nodes, replace(self.setting, in_bits=True), BEFORE_TABLES)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The trees as written and after all passes."""
        nodes = [*self.lowered[-1].nodes]
        return (*self.lowered, *run_passes(nodes, self.setting, TABLES)[1:])

    @cached_property
    def rulings(self) -> Sequence[Ruling]:
        """The rules after all passes."""
        return with_nodes(self.written, self.stages[-1].nodes[:-1])

    @cached_property
    def token(self) -> Node:
        """The token as a node, after all passes."""
        return self.stages[-1].nodes[-1]

    @property
    def has_norm(self) -> bool:
        """Whether LayerNorm sees what is stored."""
        return self.target.has_norm

    @cached_property
    def begin(self) -> str | None:
        """The name of the begin token, if texts of the target start with one."""
        return begin_name(self.program.prompts.vocabulary) if self.target.is_rotary else None

    @property
    def setting(self) -> Setting:
        """What is known about the texts."""
        precision = Precision(self.dtype, self.has_norm)
        found = Setting.of(self.program.prompts, precision, rotary=self.target.is_rotary)
        return replace(found, most_steps=self.most_steps)

    @cached_property
    def coded_rules(self) -> CodedRules | None:
        """The rules with answers split into bits; None where they are probabilities."""
        prompts = self.program.prompts
        if are_exact(self.written):
            return None
        lowered = with_nodes(self.written, self.lowered_for_bits[-1].nodes[:-1])
        setting = self.setting
        if not Precision(self.dtype).is_wide:
            steps = min(ADDED_EXACTLY, Precision(self.dtype).reach)
            setting = replace(setting, steps=steps, in_powers=True)
        return CodedRules.of(lowered, prompts.vocabulary, setting, self.dtype)

    @cached_property
    def rules_in_one_period(self) -> CodedRules | None:
        """The same, with periodic tables of a sum reduced to one period; None without any."""
        return None if self.coded_rules is None else self.coded_rules.in_one_period()

    @property
    def coded_stages(self) -> tuple[Stage, ...]:
        """The trees as written and after all passes, where everything is stored in bits."""
        return self._stages_of(self.coded_rules)

    @property
    def stages_in_one_period(self) -> tuple[Stage, ...]:
        """The same, with periodic tables of a sum reduced to one period."""
        return self._stages_of(self.rules_in_one_period)

    def _stages_of(self, rules: CodedRules | None) -> tuple[Stage, ...]:
        return (*self.lowered_for_bits, *(rules.stages if rules else ()))

    @cache  # noqa: B019 - of a program that is being compiled
    def coded(
        self,
        *,
        direct: bool,
        sure: bool,
        short: bool,
        by_parts: bool = False,
        in_one_period: bool = False,
    ) -> Made | PrecisionError | None:
        """The circuits in which everything is stored in bits.

        Args:
            direct: whether what makes the answer of the last rule writes its logits.
            sure: whether what is only found by measuring is refused.
            short: whether a neuron is to take one hidden unit behind LayerNorm.
            by_parts: in a rotary model, whether neurons find positions by a part of the attention.
            in_one_period: whether tables that repeat along a sum read it in its first period.

        Returns:
            None where that is no way; where the dtype does not distinguish what it must, what is wrong.
        """
        rules = self.rules_in_one_period if in_one_period else self.coded_rules
        if rules is None or (direct and not rules.ends_alone):
            return None
        is_mixed = self.has_norm or not Precision(self.dtype).is_wide
        if short:  # where less is written LayerNorm makes sums less large
            units = (
                [SMALL_UNIT // 2]
                if dtype_named(self.dtype).overflows_first
                else [SMALL_UNIT, SMALL_UNIT // 2]
            )
            tries = [(True, unit) for unit in units]
        else:  # without LayerNorm nothing else makes logits larger
            unit = SMALL_UNIT if self.has_norm else UNIT
            tries = [(True, unit), (False, unit)] if is_mixed else [(False, unit)]
        refused: PrecisionError | None = None
        for is_level, unit in tries:
            try:
                found = self._coded(
                    rules,
                    direct=direct,
                    sure=sure,
                    is_level=is_level,
                    short=short,
                    unit=unit,
                    by_parts=by_parts,
                )
            except PrecisionError as error:
                refused = refused or error
                continue
            if found is not None:
                return found
        return refused

    def _coded(
        self,
        rules: CodedRules,
        *,
        sure: bool,
        is_level: bool,
        direct: bool,
        short: bool,
        unit: int,
        by_parts: bool,
    ) -> Made | None:
        """The circuits, if LayerNorm always divides by the same or that does not matter."""
        prompts = self.program.prompts
        features = Features(
            normed=self.has_norm,
            in_bits=True,
            small=is_level,
            code_apart=short,
            positions="parts" if by_parts else self.encodings.positions,
            begin=self.begin,
        )
        code = features.code(prompts.token.node)
        logit_neurons = rules.rule_neurons(
            features,
            unit,
            direct=direct,
            one=features.one(self.setting.position) if short else None,
        )
        gated = self.begin is not None
        precision = Precision(self.dtype, features.normed, level=is_level, sure=sure, gated=gated)
        assembly = Assembly(features, prompts.context, precision)
        assembly.settle()
        if self.begin is not None and assembly.qk_circuits:  # keys tell the begin token from others
            _ = at_begin(features)
            assembly.settle()
        assembly.check()
        varying = assembly.varying
        if varying and (short or (is_level and not self.has_norm)):
            return None
        if not self.has_norm and "token" in features.by_node:
            return None  # the unembedding would read what is embedded besides the code
        largest, times = None, 1
        if short:
            largest, added = rules.largest(unit)
            enlarged = 1 + isqrt(1 + ceil(largest / (assembly.steady - len(code.numbers))))
            times = enlarged * _times_passed_on(added, unit)
        check_neurons(logit_neurons, assembly.precision, varying, times)
        circuits, _ = assemble(
            assembly,
            prompts.vocabulary,
            causal=prompts.causal,
            place=self.program.place,
            logit_neurons=logit_neurons,
            code=code,
            largest=largest,
        )
        steps = assembly.steps
        return Made(circuits, is_level and self.has_norm, assembly.largest_score, steps)

    @cache  # noqa: B019
    def _ranked(self, *, apart: bool) -> tuple[Rank, ...]:
        """The rank of each rule."""
        return ranks(self.rulings, self.dtype, apart=apart)

    def one_hot(
        self,
        sizes: Sizes,
        *,
        direct: bool,
        apart: bool,
        sure: bool,
        flags: bool = False,
        by_parts: bool = False,
    ) -> Made | None:
        """The circuits with a logit for each token; None where what makes the last cannot write any.

        Args:
            sizes: what is asked of the width.
            direct: whether it is to.
            apart: whether logits have a subspace of their own.
            sure: whether what is only found by measuring is refused.
            flags: whether all that is stored besides is flags, so that LayerNorm divides by the same.
            by_parts: in a rotary model, whether neurons find positions by a part of the attention.

        Raises:
            PrecisionError: the dtype does not distinguish what it must.
        """
        prompts = self.program.prompts
        unit, gated = SMALL_UNIT if apart else UNIT, self.begin is not None
        features = Features(
            one_hot=() if apart else ("token",),
            normed=self.has_norm,
            in_bits=flags,
            positions="parts" if by_parts else self.encodings.positions,
            begin=self.begin,
        )
        features.allocate(self.token)
        if direct and not ends_directly(self.rulings):
            return None
        ranked = self._ranked(apart=apart)
        rules = self.rulings, ranked, features, prompts.vocabulary
        if direct and not write_last_directly(*rules, unit):
            return None
        logit_neurons = rule_neurons(*rules, self.token, direct=direct, unit=unit)
        logit_neurons, logit_scale = (
            with_rest(logit_neurons) if are_exact(self.rulings) else (logit_neurons, None)
        )
        assembly = Assembly(
            features,
            prompts.context,
            Precision(self.dtype, features.normed, level=gated, sure=sure, gated=gated),
        )
        assembly.settle()
        assembly.check()
        squares = 2 * unit**2 * max(each.squares for each in ranked) if apart else 0
        varying = assembly.varying + squares
        if self.program.has_only_patterns:  # there are other ways, so this one must surely hold
            assembly.precision.check_scale(varying, self.program.place)
        check_neurons(logit_neurons, assembly.precision, varying)
        circuits, places = assemble(
            assembly,
            prompts.vocabulary,
            causal=prompts.causal,
            place=self.program.place,
            logit_neurons=logit_neurons,
            logit_scale=logit_scale,
            logits_apart=apart,
        )
        if self.reuse and self.begin is None:
            circuits = with_reuse(circuits, places, self.target, sizes)
        return Made(circuits, False, assembly.largest_score, assembly.steps)


def _times_passed_on(added: int, unit: int) -> int:
    """How many times the error of a sum must be within its limit, where neurons pass it on.

    A neuron of one hidden unit writes twice that part too much or too little of what it writes. Of the
    `unit - 1` by which the right sign leads, half may be lost to all that is added to a bit.

    Args:
        added: the most that is added to a bit, without signs.
        unit: what is written for each unit.
    """
    return ceil(SURE_SHIFT * 4 * added / (unit - 1))
