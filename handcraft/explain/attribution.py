"""Direct logit attribution: what every part of a model adds to the logits at the last position.

The residual stream before the last norm is a sum: the embeddings, the output of every head, the output
of every hidden unit, and the biases. Without a norm a logit is linear in it, so each part adds its own
inner product with the unembedding. ln_f divides by the standard deviation s of the whole sum, which is
not linear: s is kept as it is on this prompt, and then

    logit_k = sum over parts p of sum_i W_U[k, i] gain_i (p_i - mean(p)) / s + sum_i W_U[k, i] bias_i

which is linear in the parts again ("A Mathematical Framework for Transformer Circuits", Elhage et al.
2021, "Path expansion"; the frozen scale as in "Interpretability in the Wild", Wang et al. 2022, and
`ActivationCache.apply_ln_to_stack` of TransformerLens).

The last norm of a Llama is RMSNorm: s is the root of the mean square, and no mean is subtracted. Where
there are no biases, what a channel or a hidden unit that is the same everywhere writes is one.

Parts are computed in float64 from the intermediates of the forward pass, so all that separates their
sum from the model's logits is what the model rounds after them: the part "rounding". It is 0 where all
sums are exact, as those of whole numbers are, and at most `bound` otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
import numpy.typing as npt

from handcraft.explain.explanation import Kind, Part, Share
from handcraft.explain.served import Served
from handcraft.model import AxisNames, BlockNames, Model, Trace
from handcraft.model.tensors.tensor_axes import Writers
from handcraft.origin import Origin

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Added:
    """What one part of the model adds to the residual stream at the last position: [n_embd]."""

    kind: Kind
    name: str
    block: int | None
    index: int | None
    serves: tuple[Origin, ...]
    vector: Floats


@dataclass(frozen=True)
class Attribution:
    """The parts that add up to the logits, the factor of the last norm, the bound of the rounding."""

    parts: tuple[Part, ...]
    scale: float | None
    bound: tuple[float, ...]


def attribute(
    model: Model, trace: Trace, ids: Sequence[int], names: AxisNames | None, served: Served
) -> Attribution:
    """What adds up to the logits of the tokens `ids`, by their number in the model.

    Args:
        model: the model.
        trace: of the prompt.
        ids: the tokens.
        names: what heads and hidden units are called; None for a foreign model.
        served: which rules each weight serves.
    """
    unembedding = _unembedding(model)[list(ids)]  # [token, n_embd]
    stream = _last(trace, f"h.{model.shape.n_layer - 1}.output")
    parts: list[Part] = []
    norm = LastNorm.of(model, stream)
    reader = unembedding if norm is None else norm.reader(unembedding)  # [token, n_embd]
    for each in _added(model, trace, names, served):
        logits = reader @ each.vector  # [token, n_embd] @ [n_embd] -> [token]
        if logits.any():
            parts.append(
                Part(each.kind, each.name, each.block, each.index, each.serves, tuple(logits.tolist()))
            )
    if norm is not None:
        constant = unembedding @ norm.bias
        if constant.any():
            parts.append(Part("bias", "ln_f", None, None, (), tuple(constant.tolist())))
    actual = _last(trace, "logits")[list(ids)]
    rounding = [
        value - fsum(part.logits[k] for part in parts) for k, value in enumerate(actual.tolist())
    ]
    if any(rounding):
        parts.append(Part("rounding", "rounding", None, None, (), tuple(rounding)))
    bound = _bound(model, trace, unembedding, reader, norm)
    scale = None if norm is None else norm.scale
    return Attribution(tuple(parts), scale, tuple(bound.tolist()))


def shares(parts: Sequence[Part]) -> tuple[Share, ...]:
    """The parts summed by what they serve, in the order in which that first comes up."""
    groups: dict[tuple[Origin, ...], list[Part]] = {}
    for part in parts:
        groups.setdefault(part.serves, []).append(part)
    return tuple(
        Share(serves, tuple(map(fsum, zip(*(part.logits for part in group), strict=True))))
        for serves, group in groups.items()
    )


def _added(model: Model, trace: Trace, names: AxisNames | None, served: Served) -> Iterator[Added]:
    """What is added to the residual stream at the last position, in order."""
    last = len(trace.tokens) - 1
    yield from _embedded(model, trace)
    for block in range(model.shape.n_layer):
        known = BlockNames((), ()) if names is None else names.block(block)
        output = trace[f"h.{block}.attn.head_output"][:, last].astype(np.float64)  # [head, head_dim]
        rows = model.written(block, "attn").reshape(*output.shape, -1)  # [head, head_dim, n_embd]
        if known.constant_channel:
            yield from _constants(model, block, "attn", 0, float(output[0, 0]), served)
            output[0, 0] = 0
        for head, (values, written) in enumerate(zip(output, rows, strict=True)):
            if not written.any():
                continue
            name = known.heads[head].name if head < len(known.heads) else f"head {head}"
            size = len(values)
            first = head * size + (known.constant_channel and not head)
            channels = range(first, (head + 1) * size)
            serves = served.rows(model.output_matrix(block, "attn"), channels)
            yield Added("head", name, block, head, serves, values @ written.astype(np.float64))
        yield from _bias(model, block, "attn", served)
        if f"h.{block}.mlp.hidden" in trace:
            hidden = trace[f"h.{block}.mlp.hidden"][last].astype(np.float64)  # [unit]
            if known.constant_unit:
                constant = len(known.units)
                yield from _constants(model, block, "mlp", constant, float(hidden[constant]), served)
                hidden[constant] = 0
            yield from _units(model, block, hidden, known.units, served)
            yield from _bias(model, block, "mlp", served)


def _embedded(model: Model, trace: Trace) -> Iterator[Added]:
    """What the embeddings write: of the token, and of the position where positions are embedded."""
    tensors, last = model.tensors, len(trace.tokens) - 1
    row = model.vocabulary.ids(trace.tokens[-1:])[0]
    wte = tensors["embed_tokens.weight" if model.architecture.is_rotary else "wte.weight"]
    name = f"token {trace.tokens[-1]}"
    yield Added("embedding", name, None, None, (), wte[row].astype(np.float64))
    if not model.architecture.is_rotary:
        vector = tensors["wpe.weight"][last].astype(np.float64)
        yield Added("position", f"position {last}", None, None, (), vector)


BIASES = {"attn": "bias of the heads", "mlp": "bias of the neurons"}


def _bias(model: Model, block: int, of: Writers, served: Served) -> Iterator[Added]:
    """What a block adds at every position, a part for each of the rules and values that it serves."""
    name = model.output_matrix(block, of).bias
    if name is not None:
        bias = model.tensors[name].astype(np.float64)
        yield from _split(bias, block, of, served.bias(name))


def _constants(
    model: Model, block: int, of: Writers, place: int, number: float, served: Served
) -> Iterator[Added]:
    """The same where a channel or a hidden unit that is the same everywhere writes it."""
    written = number * model.written(block, of)[place].astype(np.float64)
    yield from _split(written, block, of, served.row(model.output_matrix(block, of), place))


def _split(
    vector: Floats, block: int, of: Writers, serving: Mapping[tuple[Origin, ...], list[int]]
) -> Iterator[Added]:
    """A vector in parts, by what its numbers serve; what is left serves nothing."""
    rest = vector.copy()
    for serves, places in serving.items():
        part = np.zeros_like(vector)
        part[places], rest[places] = vector[places], 0
        yield Added("bias", BIASES[of], block, None, serves, part)
    if rest.any():
        yield Added("bias", BIASES[of], block, None, (), rest)


def _units(
    model: Model, block: int, hidden: Floats, names: Sequence[str], served: Served
) -> Iterator[Added]:
    """The neurons of a block: hidden units whose names are the same, but for what caps them."""
    weights = model.written(block, "mlp")
    for name, units in neurons(names, len(hidden)):
        active = [unit for unit in units if hidden[unit]]
        if active:
            vector = hidden[active] @ weights[active].astype(np.float64)  # [unit] @ [unit, n_embd]
            if vector.any():
                serves = served.rows(model.output_matrix(block, "mlp"), units)
                yield Added("neuron", name, block, units[0], serves, vector)


def neurons(names: Sequence[str], count: int) -> Iterator[tuple[str, list[int]]]:
    """The neurons of a block and their hidden units; a unit without a name is one by itself."""
    found: dict[str, list[int]] = {}
    for unit in range(count):
        name = names[unit].removesuffix(", capped") if unit < len(names) else f"unit {unit}"
        found.setdefault(name, []).append(unit)
    yield from found.items()


def _unembedding(model: Model) -> Floats:
    """[n_vocab, n_embd]."""
    wte = "embed_tokens.weight" if model.architecture.is_rotary else "wte.weight"
    name = wte if model.architecture.tied else "lm_head.weight"
    found: Floats = model.tensors[name].astype(np.float64)
    return found


@dataclass(frozen=True)
class LastNorm:
    """The norm before the unembedding, its scale kept as it is on one prompt.

    Args:
        gain: [n_embd].
        bias: [n_embd]; 0 where it has none.
        scale: 1 over what it divides by.
        centred: whether it subtracts the mean.
    """

    gain: Floats
    bias: Floats
    scale: float
    centred: bool

    @classmethod
    def of(cls, model: Model, stream: Floats) -> LastNorm | None:
        """That of a model on a stream at one position, [n_embd]; None where it has none."""
        architecture, tensors = model.architecture, model.tensors
        if not architecture.has_norm:
            return None
        centred = architecture.norm == "layer"
        size = stream.var() if centred else np.square(stream).mean()
        name = "ln_f" if centred else "norm"
        gain = tensors[f"{name}.weight"].astype(np.float64)
        bias = tensors[f"{name}.bias"].astype(np.float64) if centred else np.zeros_like(gain)
        return cls(gain, bias, 1 / float(np.sqrt(size + architecture.norm_epsilon)), centred)

    def reader(self, unembedding: Floats) -> Floats:
        """What reads logits from a part of the stream: [token, n_embd]."""
        weighted: Floats = unembedding * self.gain * self.scale
        if not self.centred:
            return weighted
        weighted -= weighted.mean(axis=1, keepdims=True)  # reads p as it reads p - mean(p)
        return weighted


def _last(trace: Trace, name: str) -> Floats:
    last: Floats = trace[name][-1].astype(np.float64)
    return last


def _bound(
    model: Model, trace: Trace, unembedding: Floats, reader: Floats, norm: LastNorm | None
) -> Floats:
    """How far the rounding of the model can move each logit from the exact sum of the parts: [token].

    A sum of n products in floating point is off by at most g(n) times the sum of their sizes, where
    g(n) = n u / (1 - n u), in whatever order it is added (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, Lemma 3.1); u is half the distance from 1 to the next number.
    """
    unit = float(np.finfo(model.running_dtype).eps) / 2 + float(np.finfo(np.float64).eps)

    def g(n: int) -> float:
        return n * unit / (1 - n * unit)

    width = model.shape.n_embd

    def written(block: int, of: Writers, values: Floats) -> Floats:
        """The sizes of what is summed, in all: [n_embd]."""
        sizes: Floats = np.abs(values) @ np.abs(model.written(block, of).astype(np.float64))
        bias = model.output_matrix(block, of).bias
        return sizes if bias is None else sizes + np.abs(model.tensors[bias].astype(np.float64))

    off = unit * np.abs(_last(trace, "embedding"))  # [n_embd]
    for block in range(model.shape.n_layer):
        heads = trace[f"h.{block}.attn.head_output"][:, -1].astype(np.float64).ravel()
        off += g(len(heads) + 1) * written(block, "attn", heads)
        off += unit * np.abs(_last(trace, f"h.{block}.after_attention"))
        if f"h.{block}.mlp.hidden" in trace:
            hidden = _last(trace, f"h.{block}.mlp.hidden")
            off += g(len(hidden) + 1) * written(block, "mlp", hidden)
            off += unit * np.abs(_last(trace, f"h.{block}.output"))
    bound: Floats
    read = np.abs(reader)  # [token, n_embd]
    stream = _last(trace, f"h.{model.shape.n_layer - 1}.output")
    if norm is None:
        bound = read @ off + g(width) * (read @ np.abs(stream))
        return bound
    # the mean and the variance are sums of n_embd terms; about ten more operations follow them
    spread = np.abs(stream)
    if norm.centred:
        spread = spread.mean() + np.abs(stream - stream.mean())
        off = off + off.mean()
    scale = np.abs(unembedding * norm.gain) * norm.scale
    in_norm = scale @ off + g(width + 12) * (scale @ spread)
    normed = np.abs(_last(trace, "ln_f")) + np.abs(norm.bias)
    bound = in_norm + g(width + 1) * (np.abs(unembedding) @ normed)
    return bound
