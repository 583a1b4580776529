"""Features to circuits: every value is computed in the first block where its operands are available."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    LogitScale,
    Neuron,
    Ramp,
    Subspace,
    Table,
    embed_position,
    embed_token,
    scalar,
)
from handcraft.compiler.features.assembly import Assembly
from handcraft.compiler.features.feature import Feature, Reading
from handcraft.compiler.features.make_heads import make_heads
from handcraft.compiler.features.make_neurons import make_biases, make_neurons
from handcraft.compiler.features.places import Places
from handcraft.compiler.rules.rule_logits import LogitNeuron
from handcraft.language.graph.domain import Plain
from handcraft.language.graph.labels import distinct
from handcraft.language.graph.node import Embedded, is_token
from handcraft.origin import Place
from handcraft.vocabulary import Vocabulary


def assemble(
    assembly: Assembly,
    vocabulary: Vocabulary,
    *,
    causal: bool,
    place: Place | None,
    logit_neurons: Sequence[LogitNeuron] = (),
    logit_scale: LogitScale | None = None,
    logits_apart: bool = False,
    code: Feature | None = None,
    largest: Plain | None = None,
    outputs: Sequence[Reading] = (),
) -> tuple[Circuits, Places]:
    """The circuits that compute all features, and the subspaces that store them.

    Args:
        assembly: all features, scheduled.
        vocabulary: the tokens.
        causal: whether a position sees only itself and earlier ones.
        place: where the program was written.
        logit_neurons: neurons that write logits; none in a model of values.
        logit_scale: keeps the scale of logits that are log-probabilities.
        logits_apart: whether logits have a subspace of their own, in which the token is embedded too.
        code: the feature of the signed bits of the token, if they encode the logits.
        largest: an upper bound of the sum of squares of the subspace of the logits, at any time.
        outputs: the readings after the last block, in a model of values.
    """
    places = Places(assembly, vocabulary)
    every_feature = list(assembly.features.by_node.values())
    last = max((assembly.slots[id(h)] for h in every_feature), default=0)
    count = max(1, (last + 1) // 2)
    if logit_neurons:
        read = [assembly.slots[id(h)] for s in logit_neurons for _, h, _ in s.reading.terms]
        count = max(count, max(read, default=0) // 2 + 1)
    writes_logits = bool(logit_neurons) or any(feature.logits for feature in every_feature)
    tables = [t for h in every_feature if isinstance(h.node, Embedded) for t in _tables(h, places)]
    unembedding = None
    if logits_apart:
        unembedding = places.logits()
        tables.append(embed_token(unembedding))
    elif code is not None:
        (unembedding,) = places.subspaces[id(code)]
    elif writes_logits:
        unembedding = _unembedding(every_feature, places)
    blocks = []
    for number in range(count):
        heads = [h for h in every_feature if assembly.slots[id(h)] == 2 * number + 1]
        layer = [h for h in every_feature if assembly.slots[id(h)] == 2 * number + 2]
        neurons: list[Neuron | Ramp] = []
        for feature in layer:
            neurons += make_neurons(feature, assembly, places, unembedding)
        biases = [b for feature in layer for b in make_biases(feature, assembly, places, unembedding)]
        if number == count - 1 and unembedding is not None:
            labels = distinct(each.origin.what for each in logit_neurons)
            for k, logit_neuron in enumerate(logit_neurons):
                name = f"{labels[logit_neuron.origin.what]}, {k + 1}"
                made = _logit_neuron(logit_neuron, name, unembedding, places, logit_scale)
                if isinstance(made, Neuron):
                    neurons.append(made)
                else:
                    biases += made
            biases += _constant_logits(every_feature, unembedding)
        blocks.append(
            Block(
                heads=tuple(make_heads(heads, assembly, places, unembedding)),
                neurons=tuple(neurons),
                attention_bias=tuple(_added(heads, places)),
                neuron_bias=tuple(biases),
                settled=tuple(_flags(layer, places)),
                kept=tuple(_flags(heads, places)),
                bounds=((unembedding, largest),) if unembedding and largest is not None else (),
            )
        )
    circuits = Circuits(
        vocabulary,
        assembly.context,
        embedding=tables or [Table("position", scalar("nothing"), ((),) * assembly.context)],
        blocks=blocks,
        unembedding=unembedding,
        causal=causal,
        logit_scale=logit_scale,
        results=None if writes_logits else _results(outputs, places),
        begin=assembly.features.begin,
        place=place,
    )
    return circuits, places


def _flags(every_feature: Sequence[Feature], places: Places) -> Iterator[Subspace]:
    """The subspaces that are stored as flags: each is 0 or 1 once it is written."""
    for feature in every_feature:
        yield from (
            places.dimension(feature, i)[0] for i in feature.numbers.values() if feature.is_flag(i)
        )


def _added(every_feature: Sequence[Feature], places: Places) -> Iterator[Bias]:
    """The constants of flags that heads move: a flag is stored with its constant."""
    for feature in every_feature:
        for i, reading in enumerate(feature.moved):
            if feature.is_flag(i) and reading.terms and reading.constant:
                subspace, dimension = places.dimension(feature, i)
                adds = Coefficients(subspace, ((dimension, reading.constant),))
                yield Bias(adds, (feature.node.origin,))


def _results(outputs: Sequence[Reading], places: Places) -> list[Subspace]:
    """The subspaces that are read after the last block, each once."""
    parts = [part for reading in outputs for part in places.coefficients(reading)]
    return list(dict.fromkeys(part.subspace for part in parts))


def _unembedding(every_feature: Sequence[Feature], places: Places) -> Subspace:
    return next(places.subspaces[id(h)][0] for h in every_feature if is_token(h.node))


def _constant_logits(every_feature: Sequence[Feature], logits: Subspace) -> list[Bias]:
    """The constants of the numbers that heads write into the logits."""
    found = []
    for feature in every_feature:
        entries = tuple((token, r.constant) for token, r in feature.moved_logits.items() if r.constant)
        if entries:
            found.append(Bias(Coefficients(logits, entries), (feature.node.origin,)))
    return found


def _logit_neuron(
    logit_neuron: LogitNeuron,
    name: str,
    logits: Subspace,
    places: Places,
    logit_scale: LogitScale | None,
) -> Neuron | list[Bias]:
    """A neuron that writes logits; biases if it would always fire, nothing if it never would."""
    writes = [Coefficients(logits, tuple(sorted(logit_neuron.writes.items())))]
    if logit_scale is not None and logit_neuron.rest:
        writes.append(Coefficients(logit_scale.rest, ((0, logit_neuron.rest),)))
    if not logit_neuron.reading.terms:
        fires = logit_neuron.reading.constant >= logit_neuron.at_least
        return [Bias(each, (logit_neuron.origin,)) for each in writes] if fires else []
    reading = logit_neuron.reading
    is_rounded = reading.has_means and not (reading.is_whole and logit_scale is None)
    is_whole = reading.is_whole and not is_rounded
    return Neuron(
        name,
        places.coefficients(reading),
        logit_neuron.at_least - reading.constant,
        tuple(writes),
        (logit_neuron.origin,),
        gap=None if is_whole else 1,
        most=None if is_rounded else reading.span[1] - reading.constant,
    )


def _tables(feature: Feature, places: Places) -> list[Table]:
    """The columns of wte or wpe that store a source."""
    assert isinstance(feature.node, Embedded)
    if feature.is_one_hot:
        subspace = places.subspaces[id(feature)][0]
        return [Table(feature.node.of, subspace, tuple(((i, 1),) for i in range(subspace.width)))]
    if feature.is_code:
        embed = embed_token if feature.node.of == "token" else embed_position
        return [embed(places.subspaces[id(feature)][0])]
    tables = []
    for numbers, i in feature.numbers.items():
        subspace, dimension = places.dimension(feature, i)
        first = numbers[0] if feature.at_begin is None else feature.at_begin
        begin = () if places.assembly.features.begin is None else (first,)
        rows = tuple(((dimension, n),) if n else () for n in (*numbers, *begin))
        tables.append(Table(feature.node.of, subspace, rows))
    return tables
