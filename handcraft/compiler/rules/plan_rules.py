"""Rules over expressions to circuits: in three ways, of which the smallest is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.circuits.lifetimes import (
    read_by_heads,
    read_by_neurons,
    written_by_heads,
    written_by_neurons,
)
from handcraft.compiler.encodings import AUTO, Encodings
from handcraft.compiler.features.overflow import check_overflow, narrower_heads
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.passes.tables.split_bits import MANY
from handcraft.compiler.rules.plan_rotary_rules import plan_rotary_rules
from handcraft.compiler.rules.ruled import Made, Ruled
from handcraft.compiler.search import (
    Way,
    as_wide,
    plan_in_one_layer,
    plan_without_spreading,
    smallest,
    smallest_of,
)
from handcraft.compiler.stage import Stage
from handcraft.dtype import dtype_named
from handcraft.errors import LayoutError, LimitError, PrecisionError
from handcraft.language import Program
from handcraft.phrase import phrase, setting
from handcraft.weights import Plan, Sizes, SpreadError, allocate_layout, plan_model
from handcraft.weights.norms import divides_exactly

MANY_RULES = 256
"""Of more rules neurons of one hidden unit each are tried first behind LayerNorm: those of two need one
layer, and a stream of half as many dimensions."""

DEEP, WIDE = 12, 64
"""Where neurons are spread over more layers than GPT-2 small has, the stream is at least as wide as a
head of it: the wider it is, the fewer layers there are (`test_deep_models_are_not_narrow`)."""


@dataclass(frozen=True, eq=False)
class RuleWays:
    """Ways to plan the rules of a program.

    One neuron for every rule writes the logits; or the last rule has none, and what computes its answer
    writes them; or, if the neurons do not fit one layer behind LayerNorm, several layers write into
    a subspace of its own. Or everything is stored in bits, logits too: for many
    tokens that is so much smaller that the other ways are not tried.

    Args:
        ruled: the rules.
        target: the architecture.
        sure: whether a plan whose thresholds hold only if measuring shows it is none.
    """

    ruled: Ruled
    target: Architecture
    sure: bool
    _coded: list[Circuits] = field(default_factory=list)
    _in_one_period: list[Circuits] = field(default_factory=list)

    @property
    def ways(self) -> tuple[Way, ...]:
        """From sizes to plans."""
        tokens = self.ruled.encodings.tokens
        if tokens == "binary":
            return *self.ways_in_bits, self.in_no_bits
        if tokens == "one-hot" or self.has_few_tokens:
            return self.one_hot_ways
        return *self.ways_in_bits, *self.one_hot_ways

    @property
    def every_way(self) -> tuple[Way, ...]:
        """All of them that were not ruled out, whatever is mostly smaller."""
        if self.ruled.encodings.tokens != AUTO.tokens:
            return self.ways
        return (*self.ways_in_bits, *self.one_hot_ways)

    @property
    def ways_left(self) -> tuple[Way, ...]:
        """Those that are mostly larger, for when no other fits."""
        if self.ruled.encodings.tokens != AUTO.tokens:
            return ()
        is_short = self.target.has_norm and dtype_named(self.ruled.dtype).overflows_first
        in_flags: tuple[Way, ...] = (self.in_flags,) if is_short else ()
        return (*self.ways_in_bits, *in_flags) if self.has_few_tokens else in_flags

    def if_level(self, way: Way) -> Way:
        """A way, where LayerNorm always divides by the same in its plan."""

        def found(sizes: Sizes) -> Plan | None:
            plan = way(sizes)
            return plan if plan is not None and self._is_level(plan) else None

        return found

    @property
    def has_few_tokens(self) -> bool:
        """Whether there are so few tokens that in bits expressions would hardly be smaller."""
        program = self.ruled.program
        return len(program.vocabulary) <= MANY and not program.has_only_patterns

    def in_no_bits(self, asked: Sizes) -> Plan:
        """None in bits: refused."""
        raise LimitError(
            "some rules cannot be decided from the bits of tokens alone",
            where=self.ruled.program.place,
            fix=phrase("leave out ", setting("tokens", "binary")),
        )

    @property
    def ways_in_bits(self) -> tuple[Way, ...]:
        """Those in which everything is stored in bits."""
        return self.coded_directly, self.coded, self.coded_in_short, self.coded_in_one_period

    @property
    def one_hot_ways(self) -> tuple[Way, ...]:
        """Those in which logits have a dimension for each token."""
        ways: tuple[Way, ...] = (self.by_neurons, self.direct, self.apart)
        is_asked = self.ruled.encodings.tokens == "one-hot"
        return (*ways, self.in_flags) if is_asked and self.target.has_norm else ways

    def stages(self, plan: Plan) -> tuple[Stage, ...]:
        """The trees after each pass on the way to a plan."""
        if any(plan.circuits is circuits for circuits in self._in_one_period):
            return self.ruled.stages_in_one_period
        is_coded = any(plan.circuits is circuits for circuits in self._coded)
        return self.ruled.coded_stages if is_coded else self.ruled.stages

    def coded(self, asked: Sizes) -> Plan | None:
        """Everything in bits; neurons write the logits for every rule."""
        if asked.n_embd is None and self._are_many and self.coded_in_short(asked):
            return None  # in one layer these would be wider
        return self._in_bits(asked)

    def coded_directly(self, asked: Sizes) -> Plan | None:
        """Everything in bits; what makes the answer of the last rule writes its logits."""
        return self._in_bits(asked, direct=True)

    def coded_in_short(self, asked: Sizes) -> Plan | None:
        """Everything in bits; neurons of one hidden unit each, where two would not fit one layer.

        They compare sums with 0, so that they may be spread over several layers.
        """
        if not self.target.has_norm:
            return None
        first = self.ruled.coded(direct=False, sure=self.sure, short=self._are_many)
        if not isinstance(first, Made):
            return None
        units = len(first.circuits.blocks[-1].neurons)
        if 2 * units <= 4 * allocate_layout(first.circuits, self.target, asked).n_embd:
            return None
        return self._in_bits(asked, short=True)

    def coded_in_one_period(self, asked: Sizes) -> Plan | None:
        """Everything in bits; periodic tables of a sum are reduced to one period."""
        if self.ruled.rules_in_one_period is None:
            return None
        plan = self._in_bits(asked, direct=True, in_one_period=True)
        return plan or self._in_bits(asked, in_one_period=True)

    @property
    def _are_many(self) -> bool:
        """Whether neurons of one hidden unit each are tried first."""
        return self.target.has_norm and len(self.ruled.written) > MANY_RULES

    @cache  # noqa: B019 - of a program that is being compiled
    def _in_bits(
        self, asked: Sizes, *, direct: bool = False, short: bool = False, in_one_period: bool = False
    ) -> Plan | None:
        coded = self.ruled.coded(
            direct=direct, sure=self.sure, short=short, in_one_period=in_one_period
        )
        if isinstance(coded, PrecisionError):
            raise coded
        if coded is None:
            return None
        if direct and not _writes_logits_last(coded.circuits, has_norm=self.target.has_norm):
            return None
        (self._in_one_period if in_one_period else self._coded).append(coded.circuits)
        plan = plan_in_one_layer(coded.circuits, self.target, asked)
        narrow = narrower_heads(coded.score, plan, self.ruled.dtype, asked)
        if narrow is not None:
            asked = narrow
            plan = plan_in_one_layer(coded.circuits, self.target, asked)
        is_spread = len(plan.layers) > len(coded.circuits.blocks)
        if len(plan.layers) > DEEP and plan.layout.n_embd < WIDE and asked.n_embd is None:
            wider = as_wide(WIDE, coded.circuits, asked)
            plan = plan_model(coded.circuits, self.target, wider)
        if coded.is_level and is_spread and asked.n_embd is None and not self._is_level(plan):
            plan = plan_without_spreading(coded.circuits, self.target, asked, short=short)
        check_overflow(coded.score, plan, self.ruled.dtype)
        return plan if not coded.is_level or self._is_level(plan) else None

    def _is_level(self, plan: Plan) -> bool:
        """Whether LayerNorm always divides by the same, in a narrow dtype by a power of two."""
        if plan.layout.has_ballast:
            return False
        if not any(norm.is_read for norm in plan.norms):
            return True
        return Precision(self.ruled.dtype).is_wide or divides_exactly(plan.norms, plan.layout)

    def by_neurons(self, asked: Sizes) -> Plan | None:
        """Neurons write every logit."""
        made = self._made("neurons", asked)
        return self._planned(made, plan_in_one_layer, asked) if made else None

    def direct(self, asked: Sizes) -> Plan | None:
        """What makes the answer of the last rule writes its logits."""
        made = self._made("direct", asked)
        if made is None or not _writes_logits_last(made.circuits, has_norm=self.target.has_norm):
            return None
        plan = self._planned(made, plan_in_one_layer, asked)
        if plan.has_norm and 2 * len(made.circuits.blocks[-1].neurons) > 4 * plan.layout.n_embd:
            return None  # those in later layers would read what others have written
        return plan

    def in_flags(self, asked: Sizes) -> Plan | None:
        """Neurons write every logit; they read flags alone: more dimensions, but no ballast."""
        made = self.ruled.one_hot(asked, direct=False, apart=False, sure=self.sure, flags=True)
        return self._planned(made, plan_in_one_layer, asked) if made else None

    def apart(self, asked: Sizes) -> Plan | None:
        """Neurons of several layers write logits into a subspace of their own."""
        together = self._made("neurons", asked)
        if not self.target.has_norm or together is None:
            return None
        if _fits_one_layer(together.circuits, self.target, asked):
            return None
        made = self._made("apart", asked)
        return self._planned(made, plan_model, asked) if made else None

    def _planned(
        self, made: Made, plan_circuits: Callable[[Circuits, Architecture, Sizes], Plan], asked: Sizes
    ) -> Plan:
        """A plan whose scores surely do not overflow, if only such plans count."""
        plan = plan_circuits(made.circuits, self.target, asked)
        if self.sure:
            check_overflow(made.score, plan, self.ruled.dtype)
        return plan

    @cache  # noqa: B019
    def _made(self, way: str, asked: Sizes) -> Made | None:
        if self._is_surely_larger(asked):
            return None
        return self.ruled.one_hot(asked, direct=way == "direct", apart=way == "apart", sure=self.sure)

    @cache  # noqa: B019
    def _is_surely_larger(self, asked: Sizes) -> bool:
        """Whether no model with a dimension for each token can be smaller than the one in bits."""
        if self.has_few_tokens or self.ruled.encodings.tokens != "auto":
            return False
        plan = _first_that_fits(self.ways_in_bits[1:], asked)
        if plan is None:
            return False
        rules = len({neuron.origins for neuron in plan.circuits.blocks[-1].neurons})
        return plan.shape.parameters(plan.architecture) <= self._least(rules)

    def _least(self, neurons: int) -> int:
        """About how many parameters a model has at least, with a dimension for each token.

        Each earlier token that rules read takes a dimension or more besides.

        Args:
            neurons: how many write logits; behind LayerNorm each of them is two hidden units.
        """
        program = self.ruled.program
        width = len(program.vocabulary)
        rows = width + program.context
        if program.has_only_patterns:
            width += len(_earlier_read(program))
        if not self.target.has_norm:
            return width * (rows + 4 * width + 2 * neurons)
        width *= 2
        return width * (rows + max(12 * width, 4 * width + 4 * neurons))


def plan_rules(
    program: Program,
    target: Architecture,
    dtype: str,
    sizes: Sizes,
    encodings: Encodings = AUTO,
    *,
    reuse: bool,
    provable: bool,
) -> tuple[Plan, tuple[Stage, ...]]:
    """The smallest plan of rules, and the trees after each pass on the way to it.

    Where no plan surely holds, one in bits that does, in float16 also one in flags; and then one that
    does if measuring shows it. `save` measures, and compiling to float16 whether anything overflows.

    Args:
        program: the rules.
        target: the architecture.
        dtype: of the weights.
        sizes: what is asked of the width and the heads.
        encodings: of tokens and positions, as asked for.
        reuse: whether dimensions that are read no more are used again.
        provable: in a narrow dtype, whether to take the smallest plan in which LayerNorm always divides
            by the same power of two, if there is one: then every step is exact. Beside ballast, what
            a rounded sum leaves of a 0 decides between two numbers, and a proof must allow for both.

    Raises:
        LayoutError, PrecisionError, LimitError: no way fits.
    """
    ruled = Ruled.of(program, target, dtype, encodings, reuse=reuse)
    if target.is_rotary:
        return plan_rotary_rules(ruled, sizes)
    surely = RuleWays(ruled, target, sure=True)
    reads_expressions = not program.has_only_patterns
    if provable and target.has_norm and reads_expressions and not Precision(dtype).is_wide:
        level = smallest_of([surely.if_level(way) for way in surely.every_way], sizes)
        if level is not None:
            return level, surely.stages(level)
    try:
        plan = smallest(surely.ways, sizes)
    except (LayoutError, PrecisionError):
        found = _first_that_fits(surely.ways_left, sizes)
        if found is not None:
            return found, surely.stages(found)
        perhaps = RuleWays(ruled, target, sure=False)
        plan = smallest(perhaps.ways, sizes)
        return plan, perhaps.stages(plan)
    return plan, surely.stages(plan)


def _earlier_read(program: Program) -> set[int]:
    """How many tokens back patterns read, from 1."""
    size = len(program.vocabulary)
    return {
        back
        for clause in program.clauses
        for back in range(1, len(clause.pattern))
        if len(clause.pattern.backwards(back)) < size
    }


def _first_that_fits(ways: Sequence[Way], sizes: Sizes) -> Plan | None:
    """The plan of the first way that has one."""
    for way in ways:
        with suppress(LayoutError, PrecisionError, LimitError):
            plan = way(sizes)
            if plan is not None:
                return plan
    return None


def _fits_one_layer(circuits: Circuits, target: Architecture, sizes: Sizes) -> bool:
    """Whether the neurons of every block fit one layer of the width that everything else takes."""
    try:
        plan_model(circuits, target, sizes)
    except SpreadError:
        return False
    return True


def _writes_logits_last(circuits: Circuits, *, has_norm: bool) -> bool:
    """Whether nothing reads the token from the subspace of the logits after logits were written there.

    The token itself is read from the subspace of the logits. Behind LayerNorm everything would be read
    on another scale.
    """
    logits = circuits.unembedding
    assert logits is not None
    is_written = False
    for block in circuits.blocks:
        heads, neurons = set(read_by_heads(block)), set(read_by_neurons(block))
        if is_written and (logits in heads or (has_norm and (heads or neurons))):
            return False
        is_written = is_written or logits in written_by_heads(block)
        if is_written and (logits in neurons or (has_norm and neurons)):
            return False
        is_written = is_written or logits in written_by_neurons(block)
    return True
