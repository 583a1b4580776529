"""Rules to circuits: look back with heads, decide with heads alone or with neurons.

Three ways down, the first that fits:

- *evidence*: heads write straight into the logits. It fits where no token is predicted by two rules
  that need more than one condition each; then there is no MLP at all.
- *one layer of neurons*: a head fetches each earlier token that some pattern reads, one neuron per
  rule sees whether the whole pattern is there, and writes the rule's height.
- *two layers*: where so many rules overlap that heights grow past what a float adds exactly, the
  first layer only marks which rules match, and the second writes the logits of each such rule
  unless an earlier rival matches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    Neuron,
    Subspace,
    copy,
    embed_token,
    flag,
    one_hot,
    scalar,
)
from handcraft.compiler.rules.positions import Literal, Positions, Span, choose_positions, membership
from handcraft.compiler.rules.rank_rules import RankedRule, rank_rules
from handcraft.language.program import Program
from handcraft.language.rule import Clause
from handcraft.origin import Origin


@dataclass(frozen=True)
class Style:
    """How an architecture wants its logits.

    Args:
        unit: what is written for each unit of height.
        highest: the largest height that is written as a logit; past it, two layers are used.
        cancels_echo: whether the input token's own 1 is taken from the logits.
        keeps_token: whether the token is stored apart from the logits, for MLPs in several layers.
    """

    unit: int
    highest: int
    cancels_echo: bool = False
    keeps_token: bool = False


PLAIN = Style(unit=128, highest=1 << 12)
"""Without LayerNorm the logits are what is written. A margin over 104 nats leaves every wrong token
with a probability of exactly 0 in float32, also after the input token's echo of 1 in a tied head. Sums
of such heights stay integers far below 2**24, so float32 adds them exactly."""

NORMED = Style(unit=1, highest=32, cancels_echo=True)
"""With LayerNorm the gain of ln_f scales the logits. bfloat16 distinguishes whole heights up to 32."""

ECHO = Origin("cancels the echo of the input token")
"""What cancelling weights serve."""


@dataclass(frozen=True)
class _Lowering:
    """The common parts of all three forms: the program, its needed rules, and its subspaces."""

    program: Program
    rules: tuple[RankedRule, ...]
    positions: Positions
    style: Style
    token: Subspace
    logits: Subspace

    def token_back(self, distance: int) -> Subspace:
        """The subspace of the token `distance` back; that of the token itself is the embedding."""
        if distance == 0:
            return self.token
        return one_hot(f"token {distance} back", self.program.vocabulary.tokens)

    def conditions(
        self, clause: Clause, stored: Callable[[int], Subspace]
    ) -> Iterator[tuple[int, Literal]]:
        """The conditions of a clause, each with the distance at which it is asked.

        Args:
            clause: the clause.
            stored: gives the subspace that stores the token at a distance.
        """
        size = len(self.token.values)
        for distance in reversed(range(len(clause.pattern))):
            allowed = clause.pattern.backwards(distance)
            if len(allowed) < size:
                yield distance, membership(stored(distance), allowed)
        span = _span(clause)
        if span is not None:
            yield 0, self.positions.inside(span)

    @property
    def _embedded(self) -> tuple[Subspace, ...]:
        return (self.token,) if self.logits == self.token else (self.token, self.logits)

    def circuits(self, blocks: Sequence[Block]) -> Circuits:
        """The whole, around the blocks."""
        return Circuits(
            self.program.vocabulary,
            self.program.context,
            embedding=(*self.positions.tables, *map(embed_token, self._embedded)),
            blocks=blocks,
            unembedding=self.logits,
            place=self.program.place,
        )


def lower_rules(program: Program, positions: str = "auto", style: Style = PLAIN) -> Circuits:
    """Circuits whose highest logit is the token that the first matching rule predicts.

    Args:
        program: the rules.
        positions: the layout of positions: one of `POSITIONS`.
        style: how the architecture wants its logits.

    Raises:
        CompileError: there is no such layout.
    """
    rules = rank_rules(program.live_clauses)
    clauses = [rule.clause for rule in rules]
    is_low = max(rule.height for rule in rules) <= style.highest
    if not is_low:
        rules = rank_rules(program.live_clauses, highest=0)
    is_evidence = is_low and _is_evidence(clauses, len(program.vocabulary))
    looked = {k for clause in clauses for k in clause_distances(clause, len(program.vocabulary))}
    spans = {span for clause in clauses if (span := _span(clause)) is not None}
    here = is_evidence and (spans or style.cancels_echo)
    distances = looked | {0} if here else looked
    if not is_evidence:
        distances = distances - {0}
    layout = choose_positions(positions, program.context, distances, spans)
    token = one_hot("token", program.vocabulary.tokens)
    logits = one_hot("answer", token.values) if style.keeps_token else token
    lowering = _Lowering(program, rules, layout, style, token, logits)
    if is_evidence:
        return lowering.circuits([_evidence_block(lowering, sorted(distances))])
    fetching = tuple(_fetching_head(lowering, distance) for distance in sorted(distances))
    if is_low:
        return lowering.circuits([_deciding_block(lowering, fetching)])
    return lowering.circuits(_noting_blocks(lowering, fetching))


def _span(clause: Clause) -> Span | None:
    """The positions at which a pattern of this length can match, where those are not all."""
    last = len(clause.pattern) - 1
    if clause.pattern.anchored:
        return Span(last, last)
    return Span(last) if last > 0 else None


def clause_distances(clause: Clause, size: int) -> list[int]:
    """How far back the pattern reads a token at all."""
    pattern = clause.pattern
    return [distance for distance in range(len(pattern)) if len(pattern.backwards(distance)) < size]


def _condition_count(clause: Clause, size: int) -> int:
    return len(clause_distances(clause, size)) + (_span(clause) is not None)


def _is_evidence(clauses: Sequence[Clause], size: int) -> bool:
    """Whether adding up conditions is enough, with no neuron to see that all of them hold.

    A rule with one condition adds its height or nothing. A rule with more adds its height less its
    height for every condition that fails: at most 0 when it does not match, which only does no
    harm where no other rule counts on the same logit.
    """
    predicted = Counter(clause.token for clause in clauses)
    return all(
        predicted[clause.token] == 1 or _condition_count(clause, size) <= 1 for clause in clauses
    )


def _evidence_block(lowering: _Lowering, distances: Sequence[int]) -> Block:
    """Heads whose OV circuits add up to the logits."""
    moves: dict[int, list[LinearMap]] = {distance: [] for distance in distances}
    writes: dict[int, list[LinearMap]] = {distance: [] for distance in distances}
    biases: list[Bias] = []
    for number, rule in enumerate(lowering.rules, 1):
        gain = lowering.style.unit * rule.height
        constant = gain
        channels: dict[int, Subspace] = {}
        origins = (rule.clause.rule.origin,)
        for distance, literal in lowering.conditions(rule.clause, lambda _: lowering.token):
            constant -= gain * literal.needed
            channel = channels.setdefault(distance, scalar(f"rule {number}, {distance} back"))
            entries = tuple((i, 0, n) for i, n in literal.reads.entries)
            moves[distance].append(LinearMap(literal.reads.subspace, channel, entries, origins))
        for distance, channel in channels.items():
            entry = (0, rule.clause.token, gain)
            writes[distance].append(LinearMap(channel, lowering.logits, (entry,), origins))
        if constant:
            adds = Coefficients(lowering.logits, ((rule.clause.token, constant),))
            biases.append(Bias(adds, origins))
    if lowering.style.cancels_echo:
        echo = one_hot("echo", lowering.token.values)
        moves[0].append(copy(lowering.token, echo, origins=(ECHO,)))
        writes[0].append(copy(echo, lowering.logits, times=-1, origins=(ECHO,)))
    heads = tuple(
        Head(
            lowering.positions.look_back(distance).label,
            attends=lowering.positions.look_back(distance),
            moves=tuple(moves[distance]),
            writes=tuple(writes[distance]),
            origins=common_origins(o for m in moves[distance] for o in m.origins if o != ECHO),
        )
        for distance in distances
    )
    return Block(heads=heads, attention_bias=tuple(biases))


def _fetching_head(lowering: _Lowering, distance: int) -> Head:
    """A head that moves the token `distance` back into a subspace of its own."""
    fetched = lowering.token_back(distance)
    size = len(lowering.token.values)
    readers = (
        rule.clause.rule.origin
        for rule in lowering.rules
        if distance in clause_distances(rule.clause, size)
    )
    return Head(
        f"token {distance} back",
        attends=lowering.positions.look_back(distance),
        moves=(copy(lowering.token, fetched),),
        writes=(copy(fetched, fetched),),
        origins=common_origins(readers),
    )


def _deciding_block(lowering: _Lowering, fetching: tuple[Head, ...]) -> Block:
    """One neuron for each rule: it fires where the whole pattern is there, and adds the height."""
    neurons: list[Neuron] = []
    biases: list[Bias] = []
    for number, rule in enumerate(lowering.rules, 1):
        height = lowering.style.unit * rule.height
        writes = Coefficients(lowering.logits, ((rule.clause.token, height),))
        if _condition_count(rule.clause, len(lowering.token.values)):
            neurons.append(_matching_neuron(lowering, number, rule.clause, writes))
        else:
            biases.append(Bias(writes, (rule.clause.rule.origin,)))
    neurons += _echo_neurons(lowering)
    return Block(heads=fetching, neurons=tuple(neurons), neuron_bias=tuple(biases))


def _noting_blocks(lowering: _Lowering, fetching: tuple[Head, ...]) -> list[Block]:
    """Set a flag for each rule that matches; it writes logits unless an earlier rival matches too."""
    size, unit = len(lowering.token.values), lowering.style.unit
    conditional = {
        number: rule
        for number, rule in enumerate(lowering.rules)
        if _condition_count(rule.clause, size)
    }
    flags = {number: flag(f"rule {number + 1} matches") for number in conditional}
    rivals: dict[int, list[int]] = {number: [] for number in conditional}
    for number, rule in conditional.items():
        for later in rule.rivals:
            if later in rivals:
                rivals[later].append(number)
    noting = tuple(
        _matching_neuron(lowering, n + 1, rule.clause, Coefficients(flags[n], ((0, 1),)))
        for n, rule in conditional.items()
    )
    speaking = tuple(
        Neuron(
            f"rule {n + 1} writes logits",
            reads=(
                Coefficients(flags[n], ((0, 1),)),
                *(Coefficients(flags[rival], ((0, -1),)) for rival in rivals[n]),
            ),
            at_least=1,
            writes=(Coefficients(lowering.logits, ((rule.clause.token, 2 * unit),)),),
            origins=(rule.clause.rule.origin,),
        )
        for n, rule in conditional.items()
    )
    biases = tuple(
        Bias(Coefficients(lowering.logits, ((rule.clause.token, unit),)), (rule.clause.rule.origin,))
        for n, rule in enumerate(lowering.rules)
        if n not in conditional
    )
    return [
        Block(heads=fetching, neurons=noting),
        Block(neurons=(*speaking, *_echo_neurons(lowering)), neuron_bias=biases),
    ]


def _echo_neurons(lowering: _Lowering) -> list[Neuron]:
    """One neuron for each token, which takes the token's own 1 from the logits."""
    if not lowering.style.cancels_echo:
        return []
    return [
        Neuron(
            f"echo of {token}",
            reads=(Coefficients(lowering.token, ((i, 1),)),),
            at_least=1,
            writes=(Coefficients(lowering.logits, ((i, -1),)),),
            origins=(ECHO,),
        )
        for i, token in enumerate(lowering.program.vocabulary.tokens)
    ]


def _matching_neuron(lowering: _Lowering, number: int, clause: Clause, writes: Coefficients) -> Neuron:
    """A neuron that fires where all conditions of the clause hold.

    Every condition reaches its `needed` where it is true, and is 1 less where it is not, so the
    sum reaches the sum of all `needed` exactly where all of them hold.
    """
    literals = [literal for _, literal in lowering.conditions(clause, lowering.token_back)]
    return Neuron(
        f"rule {number} matches",
        reads=tuple(literal.reads for literal in literals),
        at_least=sum(literal.needed for literal in literals),
        writes=(writes,),
        origins=(clause.rule.origin,),
    )


def common_origins(origins: Iterable[Origin], most: int = 3) -> tuple[Origin, ...]:
    """The rules themselves where they are few, else how many they are."""
    served = tuple(dict.fromkeys(origins))
    return served if len(served) <= most else (Origin(f"{len(served)} rules"),)
