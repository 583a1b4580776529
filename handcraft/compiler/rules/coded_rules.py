"""Rules whose logits are the signed bits of a token: every rule adds to the bits of its answer.

A logit is then the inner product of a token's code with what was added. Every bit has the sign that it
has in the answer of the first rule that fires (`amounts.py`); and of all codes that one has the largest
inner product with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Reading, sum_of
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.passes.aggregates.split_positions import split_positions
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.run_passes import TABLES, run_passes
from handcraft.compiler.passes.tables.periods import in_one_period
from handcraft.compiler.passes.tables.split_bits import Splitting, width_of
from handcraft.compiler.rules.amounts import Amounts, find_amounts, largest_sums
from handcraft.compiler.rules.cubes import read_cubes
from handcraft.compiler.rules.overlap import OverlapIndex
from handcraft.compiler.rules.rule_logits import (
    SMALL_UNIT,
    UNIT,
    LogitNeuron,
    conjunction,
    highest,
    needed_vetoes,
    veto,
)
from handcraft.compiler.rules.rulings import Ruling
from handcraft.compiler.stage import Stage
from handcraft.dtype import dtype_named
from handcraft.errors import LimitError
from handcraft.language.graph.domain import Plain, Value
from handcraft.language.graph.node import Constant, Node
from handcraft.origin import Origin
from handcraft.vocabulary import Vocabulary


def split_rules(
    rulings: Sequence[Ruling], vocabulary: Vocabulary, most: int, width: int, *, exact: bool = False
) -> tuple[list[Ruling], list[list[Node]]]:
    """Rules over values that are split into bits.

    Args:
        rulings: the rules once their aggregates are lowered; all predict tokens.
        vocabulary: the tokens.
        most: how many values one sum may compare.
        width: how many bits the code of a token has.
        exact: whether a query that equals no key must match none, not even in its bits.

    Returns:
        The rules with other literals, and for each a flag for every bit of its answer, highest first.
    """
    ids: dict[Value, int] = {token: i for i, token in enumerate(vocabulary.tokens)}
    answers = dict.fromkeys(each.answer for each in rulings if isinstance(each.answer, Node))
    literals = dict.fromkeys(literal for each in rulings for literal in each.literals)
    splitting = Splitting([*literals, *answers], most, exact=exact)
    nodes = [splitting.kept(literal) for literal in literals]
    nodes += [bit for answer in answers for bit in splitting.bits(answer, ids, width)]
    made = iter(rebuild(nodes))
    kept = {literal: next(made) for literal in literals}
    bits: dict[object, list[Node]] = {answer: [next(made) for _ in range(width)] for answer in answers}
    found = [replace(each, literals=tuple([kept[node] for node in each.literals])) for each in rulings]
    return found, [bits[each.answer] for each in rulings]


MOST_NEURONS = 4096
"""How many neurons one rule may take."""


@dataclass(frozen=True)
class CodedRules:
    """Rules that predict tokens, ready for circuits.

    Args:
        rulings: the rules, with literals after all passes.
        bits: for each rule a flag for every bit of its answer, the highest first.
        amounts: what each adds to the bits of the logits, in units.
        index: their patterns by their numbers.
        stages: the trees split into bits, and after each pass that follows.
    """

    rulings: Sequence[Ruling]
    bits: Sequence[Sequence[Node]]
    amounts: Sequence[Amounts]
    index: OverlapIndex
    stages: tuple[Stage, ...]

    @classmethod
    def of(
        cls, rulings: Sequence[Ruling], vocabulary: Vocabulary, setting: Setting, dtype: str
    ) -> CodedRules:
        """Split answers into bits, and run the passes that follow.

        Args:
            rulings: the rules once their aggregates are lowered; all predict tokens.
            vocabulary: the tokens.
            setting: what is known about the texts.
            dtype: of the weights, which bounds sums: where every bit has the right sign by one unit,
                the right token must lead in the sum over all bits.
        """
        width = width_of(len(vocabulary) + setting.rotary)  # the begin token has a code too
        found, bits = split_rules(rulings, vocabulary, setting.steps // 2, width, exact=setting.rotary)
        nodes = [*dict.fromkeys(node for each in found for node in each.literals)]
        nodes = [*dict.fromkeys((*nodes, *(bit for each in bits for bit in each)))]
        if setting.rotary:  # no head compares positions
            split = nodes
        else:
            split = split_positions(nodes, setting, Precision(dtype, level=True).positions)
        stages = run_passes(split, setting, TABLES)
        stages = (replace(stages[0], name="split into bits"), *stages[1:])
        made = dict(zip(nodes, stages[-1].nodes, strict=True))
        found = [
            replace(each, literals=tuple([made[node] for node in each.literals])) for each in found
        ]
        bits = [[made[bit] for bit in each] for each in bits]
        kind = dtype_named(dtype)
        together = (SMALL_UNIT - 1) / (SMALL_UNIT * 2 * kind.unit)
        most = min(highest(dtype), kind.largest // (UNIT * width))
        contenders = [each.contender for each in found]
        index = OverlapIndex.of(each.pattern for each in contenders)
        amounts = find_amounts(contenders, index, [*map(_signs, bits)], most, int(together))
        return cls(found, bits, amounts, index, stages)

    @property
    def nodes(self) -> list[Node]:
        """Everything that is read."""
        literals = [literal for each in self.rulings for literal in each.literals]
        return [*literals, *(bit for bits in self.bits for bit in bits)]

    def in_one_period(self) -> CodedRules | None:
        """The same in bits, with periodic tables of a sum reduced to one period; None without any.

        What each rule adds to a bit depends only on which bits are constant, and none becomes so.
        """
        nodes = [*self.stages[-1].nodes]
        reduced = in_one_period(nodes)
        if reduced == nodes:
            return None
        made = dict(zip(nodes, reduced, strict=True))
        found = [
            replace(each, literals=tuple([made[node] for node in each.literals]))
            for each in self.rulings
        ]
        bits = [[made[bit] for bit in each] for each in self.bits]
        stages = (*self.stages, Stage("keep one period", tuple(reduced)))
        return replace(self, rulings=found, bits=bits, stages=stages)

    @property
    def ends_alone(self) -> bool:
        """Whether the last rule always fires with an answer that is made, and no rule has a veto."""
        is_made = any(not isinstance(bit, Constant) for bit in self.bits[-1])
        return (
            is_made
            and not self.rulings[-1].literals
            and not any(each.has_veto for each in self.amounts)
        )

    def largest(self, unit: int) -> tuple[int, int]:
        """The largest sum of squares of the logits' code, and the most that is added to one bit of it.

        Both hold after any number of the neurons; the token's own code is in the code too.

        Args:
            unit: what is written for each unit.
        """
        contenders = [each.contender for each in self.rulings]
        signs = [*map(_signs, self.bits)]
        sums = largest_sums(contenders, self.index, signs, self.amounts).values()
        squares = sum((1 + unit * max(-least, most)) ** 2 for least, most in sums)
        return squares, unit * max(most - least for least, most in sums)

    def rule_neurons(
        self, features: Features, unit: int, *, direct: bool, one: Reading | None = None
    ) -> list[LogitNeuron]:
        """The neurons of every rule: that it fires, and that a bit is one besides.

        Args:
            features: allocates features.
            unit: what is written for each unit.
            direct: whether what makes a bit of the last answer writes its logits itself, where it can.
            one: a constant, if sums are to be compared with 0: that takes half the hidden units behind
                LayerNorm.
        """
        found: list[LogitNeuron] = []
        vetoed_by = needed_vetoes(self.rulings, self.amounts)
        cubes = read_cubes([each.literals for each in self.rulings], features)
        level_at_0 = _LevelAt0(one) if one is not None else None

        def write(parts: Sequence[Reading], at_least: Plain, writes: dict[int, int]) -> None:
            if level_at_0 is not None and any(part.terms for part in parts):
                parts, at_least = level_at_0(parts, at_least)
            found.append(LogitNeuron(sum_of(parts), at_least, writes, ruling.origin))

        for place, (ruling, own) in enumerate(zip(self.rulings, self.amounts, strict=True)):
            flags = [literal for literal in ruling.literals if literal not in cubes]
            alone, needed = conjunction(flags, features)
            if alone is None:
                continue
            vetoes = [veto(self.rulings[k], k + 1, ruling, features) * -1 for k in vetoed_by[place]]
            choices = [cubes[literal] for literal in ruling.literals if literal in cubes]
            fires = [(alone, *vetoes, *each) for each in _chosen(choices, ruling.origin)]
            is_last = direct and place == len(self.rulings) - 1
            always: dict[int, int] = {}
            for i, (bit, number) in enumerate(zip(self.bits[place], own.bits, strict=True)):
                amount = number * unit
                if is_last and features.write_logits(bit, {i: (-amount, amount)}) is not None:
                    continue
                if isinstance(bit, Constant):
                    always |= {i: amount} if amount else {}
                    continue
                always[i] = -amount
                for each in fires:
                    write((*each, features.number(bit)), needed + 1, {i: 2 * amount})
            for each in fires if always else ():
                write(each, needed, always)
        return found


def _signs(bits: Sequence[Node]) -> list[int]:
    """The signs of bits, 0 of those that are computed."""
    return [(1 if bit.value else -1) if isinstance(bit, Constant) else 0 for bit in bits]


def _chosen(choices: Sequence[Sequence[Reading]], origin: Origin) -> Iterator[tuple[Reading, ...]]:
    """One sum of each literal that is cubes, in all ways: only one of them reaches 0 at once.

    Raises:
        LimitError: there are too many ways.
    """
    count = prod(map(len, choices))
    if count > MOST_NEURONS:
        raise LimitError(
            f"`{origin.what}` takes {count:,} neurons where tokens are encoded as bits, more than "
            f"{MOST_NEURONS:,}",
            where=origin.place,
            fix="name the tokens of a class one after the other in the vocabulary, or encode tokens "
            "one-hot",
        )
    return product(*choices)


class _LevelAt0:
    """Has sums compared with 0 as they are stored: a constant 1 makes up the threshold.

    A flag is stored as twice what it is above 1/2, so twice of this constant counts once.
    """

    def __init__(self, one: Reading) -> None:
        self._one = one
        self._known: dict[Plain, Reading] = {}

    def __call__(self, parts: Sequence[Reading], at_least: Plain) -> tuple[Sequence[Reading], Plain]:
        """The parts of a sum with that constant, and its threshold."""
        level = at_least - sum([part.rest for part in parts])
        if level not in self._known:
            self._known[level] = self._one * (-2 * level)
        return (*parts, self._known[level]), at_least - 2 * level
