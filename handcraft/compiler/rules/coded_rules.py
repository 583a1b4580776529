"""Rules whose logits are the signed bits of a token: every rule writes the code of its answer.

A logit is then the inner product of a token's code with what was written. Of rules that fire together
the first has a height that is more than all others have together, so every bit has the sign that it has
in the answer of the first; and of all codes that one has the largest inner product with itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from handcraft.compiler.features.allocate import Features
from handcraft.compiler.features.feature import Reading, sum_of
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.run_passes import TABLES, run_passes
from handcraft.compiler.passes.split_bits import Splitting, width_of
from handcraft.compiler.passes.split_positions import split_positions
from handcraft.compiler.rules.cubes import read_cubes
from handcraft.compiler.rules.overlap import OverlapIndex
from handcraft.compiler.rules.rank_rules import Contender, Rank, rank
from handcraft.compiler.rules.rule_logits import (
    HIGHEST,
    SMALL_UNIT,
    LogitNeuron,
    conjunction,
    needed_vetoes,
    veto,
)
from handcraft.compiler.rules.rulings import Ruling
from handcraft.compiler.stage import Stage
from handcraft.dtype import dtype_named
from handcraft.language.decision import ANYWHERE
from handcraft.language.graph.domain import Plain, Value
from handcraft.language.graph.node import Constant, Node
from handcraft.origin import Origin
from handcraft.vocabulary import Vocabulary


def split_rules(
    rulings: Sequence[Ruling], vocabulary: Vocabulary, most: int
) -> tuple[list[Ruling], list[list[Node]]]:
    """Rules over values that are split into bits.

    Args:
        rulings: the rules once their aggregates are lowered; all predict tokens.
        vocabulary: the tokens.
        most: how many values one sum may compare.

    Returns:
        The rules with other literals, and for each a flag for every bit of its answer, highest first.
    """
    ids: dict[Value, int] = {token: i for i, token in enumerate(vocabulary.tokens)}
    width = width_of(len(ids))
    answers = [each.answer for each in rulings if isinstance(each.answer, Node)]
    literals = [literal for each in rulings for literal in each.literals]
    splitting = Splitting([*literals, *answers], most)
    nodes = [splitting.kept(literal) for literal in literals]
    nodes += [bit for answer in answers for bit in splitting.bits(answer, ids, width)]
    made = iter(rebuild(nodes))
    found = [replace(each, literals=tuple(next(made) for _ in each.literals)) for each in rulings]
    return found, [[next(made) for _ in range(width)] for _ in rulings]


BOTH = frozenset({0, 1})
"""Whatever rules predict, each of them writes into every bit: what they write always adds up."""


@dataclass(frozen=True)
class CodedRules:
    """Rules that predict tokens, ready for circuits.

    Args:
        rulings: the rules, with literals after all passes.
        bits: for each rule a flag for every bit of its answer, the highest first.
        ranked: the rank of each.
        stages: the trees split into bits, and after each pass that follows.
    """

    rulings: Sequence[Ruling]
    bits: Sequence[Sequence[Node]]
    ranked: Sequence[Rank]
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
            dtype: of the weights, which bounds heights: where the first rule leads by one of them, its
                token must lead in the sum over all bits.
        """
        found, bits = split_rules(rulings, vocabulary, setting.steps // 2)
        width = width_of(len(vocabulary))
        nodes = [literal for each in found for literal in each.literals]
        nodes += [bit for each in bits for bit in each]
        nodes = split_positions(nodes, setting, Precision(dtype, level=True).positions)
        stages = run_passes(nodes, setting, TABLES)
        stages = (replace(stages[0], name="split into bits"), *stages[1:])
        made = iter(stages[-1].nodes)
        found = [replace(each, literals=tuple(next(made) for _ in each.literals)) for each in found]
        bits = [[next(made) for _ in range(width)] for _ in found]
        contenders = [
            Contender(each.contender.pattern, each.contender.answer, BOTH, each.contender.is_otherwise)
            for each in rulings
        ]
        together = (SMALL_UNIT - 1) / (SMALL_UNIT * width * 2 * dtype_named(dtype).unit)
        ranked = rank(contenders, HIGHEST, len(BOTH) * int(together) ** 2)
        return cls(found, bits, ranked, stages)

    @property
    def nodes(self) -> list[Node]:
        """Everything that is read."""
        literals = [literal for each in self.rulings for literal in each.literals]
        return [*literals, *(bit for bits in self.bits for bit in bits)]

    @property
    def ends_alone(self) -> bool:
        """Whether the last rule always fires with an answer that is made, and no rule has a veto."""
        is_made = any(not isinstance(bit, Constant) for bit in self.bits[-1])
        return is_made and not self.rulings[-1].literals and not any(r.has_veto for r in self.ranked)

    def largest(self, unit: int) -> int:
        """No sum of squares of the logits' code is larger: what rules write, and the token's own."""
        index = OverlapIndex()
        for i, ruling in enumerate(self.rulings):
            index.add(i, ruling.contender.pattern)
        added = index.most_added(ANYWHERE, lambda i: {None: self.ranked[i].height})
        together = sum(each.height for each in self.ranked) if added is None else added[None]
        return len(self.bits[0]) * (1 + unit * together) ** 2

    def rule_neurons(
        self, features: Features, unit: int, *, direct: bool, one: Reading | None = None
    ) -> list[LogitNeuron]:
        """The neurons of every rule: that it fires, and that a bit is one besides.

        Args:
            features: allocates features.
            unit: what is written for each unit of height.
            direct: whether what makes a bit of the last answer writes its logits itself, where it can.
            one: a constant, if sums are to be compared with 0: that takes half the hidden units behind
                LayerNorm.
        """
        neuron = LogitNeuron if one is None else partial(_compared_with_0, one)
        found: list[LogitNeuron] = []
        vetoed_by = needed_vetoes(self.rulings, self.ranked)
        literals = (literal for each in self.rulings for literal in each.literals)
        cubes = read_cubes(literals, features)
        for place, (ruling, own) in enumerate(zip(self.rulings, self.ranked, strict=True)):
            fires, needed = conjunction(ruling.literals, features, cubes)
            if fires is None:
                continue
            vetoes = [veto(self.rulings[k], k + 1, ruling, features) * -1 for k in vetoed_by[place]]
            fires = sum_of((fires, *vetoes))
            amount = own.height * unit
            is_last = direct and place == len(self.rulings) - 1
            always: dict[int, int] = {}
            for i, bit in enumerate(self.bits[place]):
                if is_last and features.write_logits(bit, {i: (-amount, amount)}) is not None:
                    continue
                if isinstance(bit, Constant):
                    always[i] = amount if bit.value else -amount
                    continue
                always[i] = -amount
                both = fires + features.number(bit)
                found.append(neuron(both, needed + 1, {i: 2 * amount}, ruling.origin))
            if always:
                found.append(neuron(fires, needed, always, ruling.origin))
            if not fires.terms and fires.constant >= needed:
                break  # it always fires
        return found


def _compared_with_0(
    one: Reading, sum_: Reading, at_least: Plain, writes: Mapping[int, Plain], origin: Origin
) -> LogitNeuron:
    """A neuron whose sum, as it is stored, is compared with 0: the constant 1 makes up the threshold.

    A flag is stored as twice what it is above 1/2, so twice of this constant counts once.
    """
    if not sum_.terms:
        return LogitNeuron(sum_, at_least, writes, origin)
    level = at_least - sum_.rest
    return LogitNeuron(sum_ + one * (-2 * level), at_least - 2 * level, writes, origin)
