"""The true circuit of a model: the edges that some answer depends on, each with a pair of prompts.

An edge is in the circuit if it has a witness: a pair of a clean and a corrupted prompt such that the
answer after the clean one changes when this one edge carries what it carries after the corrupted one.
The weights decide which edges to try; for all other edges they prove that no reader reads what the
edge carries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from handcraft.errors import GroundTruthError
from handcraft.ground_truth.circuit.connected import Connection, Connections
from handcraft.ground_truth.circuit.edge_graph import Edge, EdgeGraph
from handcraft.ground_truth.circuit.needed_beside import needed_beside
from handcraft.ground_truth.circuit.pairs import Pairs, pair_rounds
from handcraft.ground_truth.circuit.patched import PatchedModel, Run
from handcraft.ground_truth.subject import LaidOut
from handcraft.model.layers.attention import Array
from handcraft.progress import advance

ROUNDS = 4
"""In so many rounds of pairs at most a witness is looked for."""

NUMBERS = 1 << 23
"""About how many numbers the outputs of all sources of a run may be at once."""

LEAD = 0.01
"""By how many nats a changed answer must lead at least: float32 rounds by less, in every runtime."""

CLOSE = 0.999
"""The most of a margin that an edge without a witness is said to take away."""


@dataclass(frozen=True)
class Witness:
    """A pair of prompts of one length that shows that an answer depends on an edge.

    Args:
        clean: the tokens of the clean prompt, as places in the vocabulary.
        corrupted: those of the corrupted one.
        right: the id of the token that is meant after the clean prompt.
        wrong: the id of the answer after it when the edge is patched.
        effect: how much of the margin of the right token the patch takes away, as a share: more than 1.
        alone: whether only this edge is patched; else all edges outside the circuit are patched too.
        copies: the names of edges that are patched with it, since they were made of the same edge of
            the original: those of the copies of a head that was split.
    """

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    right: int
    wrong: int
    effect: float
    alone: bool = True
    copies: tuple[str, ...] = ()

    @property
    def changed(self) -> int:
        """In how many tokens the two prompts differ."""
        return sum(one != other for one, other in zip(self.clean, self.corrupted, strict=True))


@dataclass(frozen=True)
class Finding:
    """What is known of one edge.

    Args:
        edge: the edge.
        connection: what the weights prove about it; of a disguise, those of its original. See
            `Connections`.
        witness: shows that an answer depends on it; None where none was found.
        tried: after how many prompts it was patched.
        effect: the largest share of a logit margin that was lost by patching it; that of the witness,
            if there is one.
        moved: the largest change of any logit by patching it, in nats, where an answer is meant.
    """

    edge: Edge
    connection: Connection
    witness: Witness | None = None
    tried: int = 0
    effect: float = 0.0
    moved: float = 0.0

    @property
    def is_true(self) -> bool:
        """Whether some answer depends on the edge."""
        return self.witness is not None

    @property
    def is_open(self) -> bool:
        """Whether the edge carries what its reader reads, and still no pair shows it."""
        return self.connection == "read" and self.witness is None


@dataclass(frozen=True)
class Example:
    """A pair of prompts of one length after which different tokens are meant.

    Args:
        clean: the tokens of the clean prompt, as places in the vocabulary.
        corrupted: those of the corrupted one.
        right: the id of the token that is meant after the clean prompt.
        wrong: the id of the token that is meant after the corrupted one.
    """

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    right: int
    wrong: int


@dataclass(frozen=True, eq=False)
class Circuit:
    """The true circuit of a model.

    Args:
        graph: all sources, readers and edges.
        findings: what is known of each edge, in the order of the graph.
        pairs: how many pairs of texts were run.
        is_all: whether these are all pairs of allowed prompts that differ in one token.
        kept: how many answers stayed when all edges outside the circuit were patched at once.
        asked: how many answers were compared for this.
        examples: pairs of prompts with different answers, one for each pair of texts of the first
            round.
    """

    graph: EdgeGraph
    findings: tuple[Finding, ...] = field(repr=False)
    examples: tuple[Example, ...] = field(repr=False)
    pairs: int
    is_all: bool
    kept: int
    asked: int

    @property
    def true(self) -> tuple[Finding, ...]:
        """The edges that some answer depends on."""
        return tuple(each for each in self.findings if each.is_true)

    @property
    def open(self) -> tuple[Finding, ...]:
        """The edges that the weights connect, and no pair shows."""
        return tuple(each for each in self.findings if each.is_open)


def find_circuit(subject: LaidOut, *, pairs: int, seed: int) -> Circuit:
    """The true circuit of a model that predicts tokens.

    Args:
        subject: the model.
        pairs: about how many pairs of texts are tried in a round, if there are more.
        seed: of the texts that are drawn.

    Raises:
        GroundTruthError: the model computes values, or an answer of it is wrong.
    """
    if not subject.predicts:
        raise GroundTruthError(
            "a circuit is about answers, and this model computes values",
            where=subject.name,
            fix="ask for other parts, or write rules that predict tokens",
        )
    patched = PatchedModel(subject.model)
    connections = Connections(subject.model, patched.graph)
    found = {edge: Finding(edge, connections.of(edge)) for edge in patched.graph.edges}
    tried, is_all, first = 0, False, []
    for number, each in enumerate(islice(pair_rounds(subject, pairs, seed), ROUNDS)):
        waiting = [f.edge for f in found.values() if f.is_open]
        if number and not waiting:
            break
        advance("patch edges", len(found) - len(waiting), len(found))
        if not number:
            first = list(each.by_length)
            waiting += [f.edge for f in found.values() if f.connection in ("unread", "scale")]
        is_all = each.is_all
        tried += sum(map(len, each.by_length))
        for part, clean, corrupted in run_pairs(subject, patched, each.by_length):
            for edge in waiting:
                if found[edge].witness is None:
                    logits = patched.patched(clean, corrupted, [edge])
                    found[edge] = judged(found[edge], subject, part, clean.logits, logits)
    found |= {f.edge: f for f in _needed_together(subject, patched, first, tuple(found.values()))}
    findings = tuple(found.values())
    kept, asked = count_kept(subject, patched, first, [f.edge for f in findings if not f.is_true])
    examples = tuple(example_pairs(subject, first))
    return Circuit(patched.graph, findings, examples, tried, is_all, kept, asked)


def run_pairs(
    subject: LaidOut, patched: PatchedModel, pairs: Iterable[Pairs]
) -> Iterator[tuple[Pairs, Run, Run]]:
    """Both runs of some pairs, few enough at a time."""
    ids = np.array(subject.model.vocabulary.numbers)
    graph = patched.graph
    for every in pairs:
        each = len(graph.sources) * every.clean.shape[1] * graph.n_embd
        rows = max(1, NUMBERS // each)
        for start in range(0, len(every), rows):
            part = every.part(start, rows)
            clean = patched.run(ids[part.clean])
            part = _decided(subject, part, clean.logits)
            yield part, clean, patched.run(ids[part.corrupted])


def _decided(subject: LaidOut, pairs: Pairs, logits: Array) -> Pairs:
    """The pairs, asked only where the answer is decided: likeliest tokens may be equally likely.

    Raises:
        GroundTruthError: the model answers another token than is meant.
    """
    rows, places, right = _asked(subject, pairs)
    margins, _ = _margins(logits[rows, places], right)
    wrong = np.flatnonzero(margins <= -LEAD)
    if wrong.size:
        row, place = int(rows[wrong[0]]), int(places[wrong[0]])
        vocabulary = subject.model.vocabulary
        tokens = [vocabulary.tokens[i] for i in pairs.clean[row, : place + 1].tolist()]
        raise GroundTruthError(
            f"after {vocabulary.join(tokens)!r} the model does not answer what is meant, "
            f"{vocabulary.tokens[int(pairs.meant[row, place])]!r}",
            where=subject.name,
            fix="`handcraft verify` lists all such prompts; compile the program again",
        )
    meant = pairs.meant.copy()
    close = margins < LEAD
    meant[rows[close], places[close]] = -1
    return replace(pairs, meant=meant)


def _asked(
    subject: LaidOut, pairs: Pairs
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The answers that are asked for: their texts, their positions, and the ids that are right."""
    rows, places = np.nonzero(pairs.meant >= 0)
    ids = np.array(subject.model.vocabulary.numbers)
    return rows, places, ids[pairs.meant[rows, places]]


def _margins(logits: Array, right: npt.NDArray[np.int64]) -> tuple[Array, npt.NDArray[np.int64]]:
    """The margin of the right token, and the best of the others: [answer, n_vocab] -> [answer] each."""
    every = np.arange(len(right))
    others = logits.astype(np.float64)
    own = others[every, right]
    others[every, right] = -np.inf
    best = others.argmax(axis=-1)
    return own - others[every, best], best


def judged(finding: Finding, subject: LaidOut, pairs: Pairs, clean: Array, patched: Array) -> Finding:
    """A finding after the edge was patched on some pairs."""
    rows, places, right = _asked(subject, pairs)
    if not len(rows):
        return finding
    before, after = clean[rows, places], patched[rows, places]
    margin, _ = _margins(before, right)
    left, best = _margins(after, right)
    effects = (margin - left) / margin
    flips = np.flatnonzero(left <= -LEAD)
    moved = max(finding.moved, float(np.abs(after.astype(np.float64) - before).max()))
    tried = finding.tried + len(rows)
    effect = max(finding.effect, float(effects.max(initial=0)))
    if not flips.size:
        return replace(finding, tried=tried, effect=min(effect, CLOSE), moved=moved)
    differ = pairs.clean != pairs.corrupted
    changes = differ.cumsum(axis=1)[rows[flips], places[flips]]
    is_token = np.isin(best[flips], subject.model.vocabulary.numbers)
    order = np.lexsort((-effects[flips], places[flips], changes, ~is_token))
    chosen = flips[order[0]]
    row, end = int(rows[chosen]), int(places[chosen]) + 1
    clean_text, corrupted_text = (each[row].tolist() for each in (pairs.clean, pairs.corrupted))
    if not subject.model.architecture.causal:
        end = len(clean_text)
    witness = Witness(
        tuple(clean_text[:end]),
        tuple(corrupted_text[:end]),
        int(right[chosen]),
        int(best[chosen]),
        float(effects[chosen]),
    )
    return replace(finding, witness=witness, tried=tried, effect=witness.effect, moved=moved)


def _needed_together(
    subject: LaidOut, patched: PatchedModel, pairs: Sequence[Pairs], findings: Sequence[Finding]
) -> Iterator[Finding]:
    """Edges that are needed although none of them is needed alone: others do what one of them does.

    Where an answer changes when all edges outside the circuit are patched, open edges are patched as
    long as none changes (`needed_beside`); each that is left then has a witness beside those.
    """
    outside = [finding.edge for finding in findings if not finding.is_true]
    kept, asked = count_kept(subject, patched, pairs, outside)
    if kept == asked:
        return
    open_edges = {finding.edge: finding for finding in findings if finding.is_open}
    outside = [edge for edge in outside if edge not in open_edges]

    def is_kept(edges: Sequence[Edge]) -> bool:
        kept, asked = count_kept(subject, patched, pairs, edges)
        return kept == asked

    needed, outside = needed_beside(tuple(open_edges), outside, is_kept)
    for finding in (open_edges[edge] for edge in needed):
        for part, clean, corrupted in run_pairs(subject, patched, pairs):
            logits = patched.patched(clean, corrupted, [*outside, finding.edge])
            found = judged(finding, subject, part, clean.logits, logits)
            if found.witness is not None:
                yield replace(found, witness=replace(found.witness, alone=False))
                break


def count_kept(
    subject: LaidOut, patched: PatchedModel, pairs: Sequence[Pairs], outside: Sequence[Edge]
) -> tuple[int, int]:
    """How many answers stay when all edges outside a circuit are patched, and of how many."""
    kept = asked = 0
    for part, clean, corrupted in run_pairs(subject, patched, pairs):
        logits = patched.patched(clean, corrupted, outside)
        rows, places, right = _asked(subject, part)
        margins, _ = _margins(logits[rows, places], right)
        kept += int((margins > -LEAD).sum())
        asked += len(rows)
    return kept, asked


def example_pairs(subject: LaidOut, pairs: Sequence[Pairs]) -> Iterator[Example]:
    """One pair of prompts of each pair of texts: up to the last position with different answers."""
    ids = subject.model.vocabulary.numbers
    is_causal = subject.model.architecture.causal
    for every in pairs:
        differ = (every.meant >= 0) & (every.meant != every.instead)
        for row in np.flatnonzero(differ.any(axis=1)).tolist():
            place = int(np.flatnonzero(differ[row])[-1])
            end = place + 1 if is_causal else differ.shape[1]
            yield Example(
                tuple(every.clean[row, :end].tolist()),
                tuple(every.corrupted[row, :end].tolist()),
                ids[int(every.meant[row, place])],
                ids[int(every.instead[row, place])],
            )
