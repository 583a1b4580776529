"""A whole transformer over named subspaces: embedding, blocks, unembedding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Literal

from handcraft.circuits.head import Head
from handcraft.circuits.lifetimes import lifetimes, written_by_heads, written_by_neurons
from handcraft.circuits.neuron import Neuron, Ramp
from handcraft.circuits.number import Number, Plain, exact
from handcraft.circuits.subspace import Coefficients, Encoding, Subspace, Value
from handcraft.display import short_repr
from handcraft.errors import CircuitError, EncodingError, HandcraftError, raise_all
from handcraft.origin import Origin, Place, caller_place
from handcraft.vocabulary import Vocabulary, shorten


@short_repr
@dataclass(frozen=True)
class Table:
    """What an embedding puts into one subspace: any function of the token or of the position.

    Args:
        of: whether the rows are counted by token id or by position.
        subspace: where it is put.
        rows: for each token or position, its nonzero entries: (dimension, number).
        origins: what it serves; empty for what serves every rule.
    """

    of: Literal["token", "position"]
    subspace: Subspace
    rows: tuple[tuple[tuple[int, Number], ...], ...]
    origins: tuple[Origin, ...] = ()

    @cached_property
    def dimensions(self) -> frozenset[int]:
        """The dimensions that any row writes to."""
        return frozenset(i for row in self.rows for i, _ in row)

    @cached_property
    def lengths(self) -> frozenset[Number]:
        """The sums of squares of its rows, each once."""
        return frozenset(sum(n * n for _, n in row) for row in self.rows)


def embed_token(subspace: Subspace) -> Table:
    """Put the token itself into `subspace`, whose values are the tokens in order."""
    return _embed("token", subspace, subspace.values)


def embed_position(subspace: Subspace, values: Sequence[Value] | None = None) -> Table:
    """Put a value for each position into `subspace`; by default its values, in order."""
    return _embed("position", subspace, subspace.values if values is None else values)


def _embed(of: Literal["token", "position"], subspace: Subspace, values: Iterable[Value]) -> Table:
    row = cache(subspace.entries)  # many positions have the same value
    return Table(of, subspace, tuple(map(row, values)))


def bias(
    subspace: Subspace, numbers: Mapping[Value, object], *, origins: Iterable[Origin] = ()
) -> Bias:
    """Numbers added at every position, one for each value of a one-hot subspace."""
    return Bias(Coefficients.per_value(subspace, numbers), tuple(origins))


@short_repr
@dataclass(frozen=True)
class Bias:
    """Numbers that are added to a subspace at every position."""

    adds: Coefficients
    origins: tuple[Origin, ...] = ()


@short_repr
@dataclass(frozen=True)
class Block:
    """Heads, then neurons; each group may add a bias.

    Args:
        heads: attention heads; they read the stream as it enters the block.
        attention_bias: what is added together with what the heads write.
        neurons: they read the stream after the heads have written.
        neuron_bias: what is added together with what the neurons write.
        settled: the subspaces that contain one of their codewords from the end of this block on,
            even if several parts of it are written separately.
        kept: the subspaces that contain one of their codewords at every point of the block: after the
            heads, and after any number of the neurons, counted from the first.
        bounds: of some subspaces the largest sum of squares that they have at any point of the block.
    """

    heads: tuple[Head, ...] = ()
    attention_bias: tuple[Bias, ...] = ()
    neurons: tuple[Neuron | Ramp, ...] = ()
    neuron_bias: tuple[Bias, ...] = ()
    settled: tuple[Subspace, ...] = ()
    kept: tuple[Subspace, ...] = ()
    bounds: tuple[tuple[Subspace, Plain], ...] = ()


@dataclass(frozen=True)
class LogitScale:
    """Keeps the scale of logits through ln_f: a fixed sum of squares after every context.

    Args:
        rest: a one-hot subspace of one value, which completes the squares of the logits.
        squares: the sum of squares of the logits and `rest`, after every context.
    """

    rest: Subspace
    squares: Plain


@short_repr
@dataclass(frozen=True)
class Reuse:
    """A subspace that reuses dimensions of another, which is no longer read and is 0 by then.

    The other subspace must have been cleared: its negative was written, at the latest together with
    the first write to the new one. The ideal interpreter keeps the two separate.
    """

    subspace: Subspace
    within: Subspace
    at: int = 0


@short_repr
@dataclass(frozen=True, init=False, eq=False)
class Circuits:
    """A transformer as circuits: what every part reads, and where it writes.

    Args:
        vocabulary: the tokens.
        context: the number of positions.
        embedding: the tables of the token and the position embedding, in the order in which their
            subspaces lie in the residual stream.
        blocks: in order.
        unembedding: the subspace from which logits are read: the logit of a token is the inner
            product of its codeword with the value of the subspace, so the dimensions of a one-hot
            subspace are the logits. None for a model without logits.
        scratch: further subspaces of the residual stream.
        values: what each symbol in a number stands for once weights are emitted, by its name.
        causal: whether a position sees only itself and earlier ones.
        logit_scale: what keeps the scale of logits that are log-probabilities up to a constant; None
            if only the order of logits matters.
        results: in a model without logits, the subspaces that are read after the last block; by
            default all that no block reads.
        reuses: the subspaces that have no dimensions of their own.
        begin: the name of the begin token, which stands before every text. It is no token of the
            vocabulary; in tables of the token its row is the last. None for texts that start with
            their first token.

    Raises:
        CircuitError: the pieces do not fit; all that is wrong at once.
    """

    vocabulary: Vocabulary
    context: int
    embedding: tuple[Table, ...]
    blocks: tuple[Block, ...]
    unembedding: Subspace | None
    scratch: tuple[Subspace, ...]
    values: Mapping[str, Plain]
    causal: bool
    logit_scale: LogitScale | None
    results: tuple[Subspace, ...] | None
    reuses: tuple[Reuse, ...]
    begin: str | None
    place: Place | None = field(repr=False)

    def __init__(
        self,
        vocabulary: Vocabulary | str | Iterable[str],
        context: int,
        *,
        embedding: Sequence[Table],
        blocks: Sequence[Block],
        unembedding: Subspace | None,
        scratch: Sequence[Subspace] = (),
        values: Mapping[str, object] | None = None,
        causal: bool = True,
        logit_scale: LogitScale | None = None,
        results: Sequence[Subspace] | None = None,
        reuses: Sequence[Reuse] = (),
        begin: str | None = None,
        place: Place | None = None,
    ) -> None:
        known = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
        object.__setattr__(self, "vocabulary", known)
        object.__setattr__(self, "context", context)
        object.__setattr__(self, "embedding", tuple(embedding))
        object.__setattr__(self, "blocks", tuple(blocks))
        object.__setattr__(self, "unembedding", unembedding)
        object.__setattr__(self, "scratch", tuple(scratch))
        plain = {name: exact(value) for name, value in (values or {}).items()}
        object.__setattr__(self, "values", plain)
        object.__setattr__(self, "causal", causal)
        object.__setattr__(self, "logit_scale", logit_scale)
        object.__setattr__(self, "results", None if results is None else tuple(results))
        object.__setattr__(self, "reuses", tuple(reuses))
        object.__setattr__(self, "begin", begin)
        object.__setattr__(self, "place", place or caller_place(1))
        _check(self)

    @cached_property
    def stream(self) -> tuple[Subspace, ...]:
        """The subspaces of the residual stream, in order."""
        named = [table.subspace for table in self.embedding] + list(self.scratch)
        for block in self.blocks:
            named += [*written_by_heads(block), *written_by_neurons(block)]
        return tuple(dict.fromkeys(named))

    @property
    def embedded_tokens(self) -> tuple[str, ...]:
        """What the rows of tables of the token stand for: the vocabulary, then the begin token."""
        return (*self.vocabulary.tokens, *([] if self.begin is None else [self.begin]))

    @property
    def head_count(self) -> int:
        """The largest number of heads in a block."""
        return max((len(block.heads) for block in self.blocks), default=0)


def _check(circuits: Circuits) -> None:
    checks = (
        _table_problems,
        _unembedding_problems,
        _stream_problems,
        _index_problems,
        _reuse_problems,
    )
    problems = [problem for check in checks for problem in check(circuits)]
    for problem in problems:
        problem.where = problem.where or str(circuits.place)
    raise_all(problems)


def _table_problems(circuits: Circuits) -> Iterator[HandcraftError]:
    if not isinstance(circuits.context, int) or circuits.context < 1:
        yield CircuitError(f"the context is {circuits.context!r}", fix="use 1 or more positions")
    counts = {"token": len(circuits.embedded_tokens), "position": circuits.context}
    for table in circuits.embedding:
        if len(table.rows) != counts[table.of]:
            yield CircuitError(
                f"the table of `{table.subspace}` has {len(table.rows)} rows for "
                f"{counts[table.of]} {table.of}s",
                fix=f"give one row for each {table.of}",
            )


def _index_problems(circuits: Circuits) -> Iterator[HandcraftError]:
    """Entries with an index beyond the dimensions of their subspace."""
    used: list[tuple[Subspace, Iterable[int]]] = []
    for table in circuits.embedding:
        used.append((table.subspace, sorted(table.dimensions)))
    for block in circuits.blocks:
        for head in block.heads:
            for linear in (*head.all_reads, *head.writes):
                used.append((linear.source, [i for i, _, _ in linear.entries]))
                used.append((linear.target, [j for _, j, _ in linear.entries]))
        parts = [each.adds for each in (*block.attention_bias, *block.neuron_bias)]
        parts += [part for neuron in block.neurons for part in (*neuron.all_reads, *neuron.writes)]
        once = {id(part): part for part in parts}.values()  # thousands of neurons share what they read
        used += [(part.subspace, [i for i, _ in part.entries]) for part in once]
    wrong = [(subspace, i) for subspace, places in used for i in places if not 0 <= i < subspace.width]
    for subspace, i in dict.fromkeys(wrong):
        yield CircuitError(
            f"dimension {i} of `{subspace}` is used, which has {subspace.width}",
            fix="count the dimensions of a subspace from 0",
        )


def _unembedding_problems(circuits: Circuits) -> Iterator[HandcraftError]:
    """The unembedding is tied: a logit is the inner product of stream and token embedding."""
    target, tokens = circuits.unembedding, circuits.embedded_tokens
    if target is None:
        return
    if target.values != tokens or target.encoding is Encoding.FLAG or target.is_number:
        yield EncodingError(
            f"the unembedding reads `{target}`, {target.encoding.value}, with the values "
            f"{shorten(target.values)}",
            fix=f"read a subspace whose values are the tokens: {shorten(tokens)}",
        )
        return
    tables = [table for table in circuits.embedding if table.subspace == target and table.of == "token"]
    if [table.rows for table in tables] != [embed_token(target).rows]:
        yield CircuitError(
            f"the unembedding reads `{target}`, into which the token is not embedded exactly once",
            fix=f"a tied head needs embed_token({target.name}), once",
        )


def _stream_problems(circuits: Circuits) -> Iterator[HandcraftError]:
    by_name: dict[str, Subspace] = {}
    for subspace in circuits.stream:
        if by_name.setdefault(subspace.name, subspace) != subspace:
            yield CircuitError(f"two subspaces are called `{subspace}`", fix="give each its own name")
    known = frozenset(circuits.stream)
    for number, block in enumerate(circuits.blocks):
        reads = [
            *((head.name, m.source) for head in block.heads for m in head.all_reads),
            *((n.name, read.subspace) for n in block.neurons for read in n.all_reads),
        ]
        for reader, subspace in reads:
            if subspace not in known:
                yield CircuitError(
                    f"`{reader}` of block {number} reads `{subspace}`, which is not in the residual "
                    "stream",
                    fix="embed it, write it, or name it in scratch=",
                )
        for head in block.heads:
            carried = frozenset(head.carried)
            for m in head.writes:
                if m.source not in carried:
                    yield CircuitError(
                        f"`{head.name}` of block {number} writes from `{m.source}`, into which it "
                        "moves nothing",
                        fix="move something into it first",
                    )


def _reuse_problems(circuits: Circuits) -> Iterator[HandcraftError]:
    """Subspaces that take dimensions which are not there, or not free."""
    lives = lifetimes(circuits)
    taken: set[tuple[Subspace, int]] = set()
    for number, reuse in enumerate(circuits.reuses):
        new, old = reuse.subspace, reuse.within
        cells = {(old, reuse.at + i) for i in range(new.width)}
        if new not in lives or old not in lives or lives[new].born == 0:
            fix = "name subspaces of the stream, of which the new one is not embedded"
        elif Encoding.FLAG in (new.encoding, old.encoding):
            fix = "give a flag dimensions of its own: after LayerNorm its resting value is -1"
        elif not 0 <= reuse.at <= old.width - new.width:
            fix = f"take {new.width} of its {old.width} dimensions"
        elif any(old == later.subspace for later in circuits.reuses[number:]):
            fix = f"list first whose dimensions `{old}` takes"
        elif cells & taken:
            fix = "give each dimension to one of them, and that of the later one to the earlier"
        elif lives[old].read >= lives[new].born or lives[old].settled > lives[new].born:
            fix = f"write `{new}` after `{old}` was read for the last time, and cleared"
        else:
            taken |= cells
            continue
        yield CircuitError(f"`{new}` cannot take the place of `{old}`", fix=fix)
