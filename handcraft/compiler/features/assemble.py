"""Held values to circuits: every value in the first block that can make it."""

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
    embed_token,
    scalar,
)
from handcraft.compiler.features.assembly import Assembly
from handcraft.compiler.features.feature import Held, Reading
from handcraft.compiler.features.make_heads import make_heads
from handcraft.compiler.features.make_neurons import make_biases, make_neurons
from handcraft.compiler.features.places import Places, short
from handcraft.compiler.rules.rule_logits import Speaker
from handcraft.language.graph.node import Embedded, is_token
from handcraft.origin import Place
from handcraft.vocabulary import Vocabulary


def assemble(
    assembly: Assembly,
    vocabulary: Vocabulary,
    *,
    causal: bool,
    place: Place | None,
    speakers: Sequence[Speaker] = (),
    logit_scale: LogitScale | None = None,
    logits_apart: bool = False,
    code: Held | None = None,
    outputs: Sequence[Reading] = (),
) -> tuple[Circuits, Places]:
    """The circuits of everything that is held, and where they hold it.

    Args:
        assembly: everything that is held.
        vocabulary: the tokens.
        causal: whether a position sees only itself and earlier ones.
        place: where the program was written.
        speakers: neurons that write logits; none where nobody asks for logits.
        logit_scale: where logits are log-probabilities, what keeps their scale.
        logits_apart: whether logits have a subspace of their own, in which the token is embedded too.
        code: what holds the signed bits of the token, where logits are read with those.
        outputs: what is read after the last block, where nobody asks for logits.
    """
    places = Places(assembly, vocabulary)
    helds = list(assembly.holder.held.values())
    last = max((assembly.slots[id(h)] for h in helds), default=0)
    count = max(1, (last + 1) // 2)
    if speakers:
        heard = [assembly.slots[id(h)] for s in speakers for _, h, _ in s.reading.terms]
        count = max(count, max(heard, default=0) // 2 + 1)
    speaks = bool(speakers) or any(held.spoken for held in helds)
    tables = [t for h in helds if isinstance(h.node, Embedded) for t in _tables(h, places)]
    unembedding = None
    if logits_apart:
        unembedding = places.logits()
        tables.append(embed_token(unembedding))
    elif code is not None:
        (unembedding,) = places.subspaces[id(code)]
    elif speaks:
        unembedding = _unembedding(helds, places)
    blocks = []
    for number in range(count):
        heads = [h for h in helds if assembly.slots[id(h)] == 2 * number + 1]
        layer = [h for h in helds if assembly.slots[id(h)] == 2 * number + 2]
        neurons: list[Neuron | Ramp] = []
        for held in layer:
            neurons += make_neurons(held, assembly, places, unembedding)
        biases = [b for held in layer for b in make_biases(held, assembly, places, unembedding)]
        if number == count - 1 and unembedding is not None:
            for k, speaker in enumerate(speakers):
                spoken = _spoken(speaker, k, unembedding, places, logit_scale)
                if not isinstance(spoken, Neuron):
                    biases += spoken
                else:
                    neurons.append(spoken)
            biases += _said_everywhere(helds, unembedding)
        blocks.append(
            Block(
                heads=tuple(make_heads(heads, assembly, places, unembedding)),
                neurons=tuple(neurons),
                attention_bias=tuple(_added(heads, places)),
                neuron_bias=tuple(biases),
                settled=tuple(_flags(layer, places)),
                kept=tuple(_flags(heads, places)),
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
        results=None if speaks else _results(outputs, places),
        place=place,
    )
    return circuits, places


def _flags(helds: Sequence[Held], places: Places) -> Iterator[Subspace]:
    """What is stored as flags: each holds 0 or 1 once it is written."""
    for held in helds:
        yield from (places.dimension(held, i)[0] for i in held.numbers.values() if held.is_flag(i))


def _added(helds: Sequence[Held], places: Places) -> Iterator[Bias]:
    """The constants of flags that heads bring: of a flag all is stored."""
    for held in helds:
        for i, reading in enumerate(held.brought):
            if held.is_flag(i) and reading.terms and reading.constant:
                subspace, dimension = places.dimension(held, i)
                adds = Coefficients(subspace, ((dimension, reading.constant),))
                yield Bias(adds, (held.node.origin,))


def _results(outputs: Sequence[Reading], places: Places) -> list[Subspace]:
    """The subspaces of what is read after the last block, each once."""
    parts = [part for reading in outputs for part in places.coefficients(reading)]
    return list(dict.fromkeys(part.subspace for part in parts))


def _unembedding(helds: Sequence[Held], places: Places) -> Subspace:
    return next(places.subspaces[id(h)][0] for h in helds if is_token(h.node))


def _said_everywhere(helds: Sequence[Held], logits: Subspace) -> list[Bias]:
    """The constants of what heads write into the logits."""
    found = []
    for held in helds:
        entries = tuple((token, r.constant) for token, r in held.said.items() if r.constant)
        if entries:
            found.append(Bias(Coefficients(logits, entries), (held.node.origin,)))
    return found


def _spoken(
    speaker: Speaker, number: int, logits: Subspace, places: Places, logit_scale: LogitScale | None
) -> Neuron | list[Bias]:
    """A neuron that writes logits; biases where it would always fire, nothing where it never would."""
    writes = [Coefficients(logits, tuple(sorted(speaker.writes.items())))]
    if logit_scale is not None and speaker.rest:
        writes.append(Coefficients(logit_scale.rest, ((0, speaker.rest),)))
    if not speaker.reading.terms:
        fires = speaker.reading.constant >= speaker.at_least
        return [Bias(each, (speaker.origin,)) for each in writes] if fires else []
    reading = speaker.reading
    is_whole = reading.is_whole and (logit_scale is None or not reading.has_shares)
    return Neuron(
        f"{short(speaker.origin.what)}, {number + 1}",
        places.coefficients(reading),
        speaker.at_least - reading.constant,
        tuple(writes),
        (speaker.origin,),
        gap=None if is_whole else 1,
        most=reading.span[1] - reading.constant if is_whole else None,
    )


def _tables(held: Held, places: Places) -> list[Table]:
    """The columns of wte or wpe that hold a source."""
    assert isinstance(held.node, Embedded)
    if held.is_one_hot:
        subspace = places.subspaces[id(held)][0]
        return [Table(held.node.of, subspace, tuple(((i, 1),) for i in range(subspace.width)))]
    if held.is_bits:
        return [embed_token(places.subspaces[id(held)][0])]
    tables = []
    for numbers, i in held.numbers.items():
        subspace, _ = places.dimension(held, i)
        rows = tuple(((0, n),) if n else () for n in numbers)
        tables.append(Table(held.node.of, subspace, rows))
    return tables
