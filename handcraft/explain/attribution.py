"""Direct logit attribution: what every part of a model adds to the logits at the last position.

The residual stream before ln_f is a sum: the embeddings, the output of every head, the output of every
hidden unit, and the biases. Without ln_f a logit is linear in it, so each part adds its own inner
product with the unembedding. ln_f divides by the standard deviation s of the whole sum, which is not
linear: s is kept as it is on this prompt, and then

    logit_k = sum over parts p of sum_i W_U[k, i] gain_i (p_i - mean(p)) / s + sum_i W_U[k, i] bias_i

which is linear in the parts again ("A Mathematical Framework for Transformer Circuits", Elhage et al.
2021, "Path expansion"; the frozen scale as in "Interpretability in the Wild", Wang et al. 2022, and
`ActivationCache.apply_ln_to_stack` of TransformerLens).

Parts are computed in float64 from the intermediates of the forward pass, so all that separates their
sum from the model's logits is what the model rounds after them: the part "rounding". It is 0 where all
sums are exact, as those of whole numbers are, and at most `bound` otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
import numpy.typing as npt

from handcraft.explain.explanation import Kind, Part, Share
from handcraft.explain.served import Served
from handcraft.model import AxisNames, Model, Trace
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
    """The parts that add up to the logits, the factor of ln_f, and the bound of the rounding."""

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
    reader, scale = unembedding, None
    if model.architecture.has_norm:
        scale = 1 / float(np.sqrt(stream.var() + model.architecture.norm_epsilon))
        gain = model.tensors["ln_f.weight"].astype(np.float64)
        weighted = unembedding * gain * scale  # [token, n_embd]
        reader = weighted - weighted.mean(axis=1, keepdims=True)  # reads p as it reads p - mean(p)
    for each in _added(model, trace, names, served):
        logits = reader @ each.vector  # [token, n_embd] @ [n_embd] -> [token]
        if logits.any():
            parts.append(
                Part(each.kind, each.name, each.block, each.index, each.serves, tuple(logits.tolist()))
            )
    if model.architecture.has_norm:
        constant = unembedding @ model.tensors["ln_f.bias"].astype(np.float64)
        if constant.any():
            parts.append(Part("bias", "ln_f", None, None, (), tuple(constant.tolist())))
    actual = _last(trace, "logits")[list(ids)]
    rounding = [
        value - fsum(part.logits[k] for part in parts) for k, value in enumerate(actual.tolist())
    ]
    if any(rounding):
        parts.append(Part("rounding", "rounding", None, None, (), tuple(rounding)))
    bound = _bound(model, trace, unembedding, reader)
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
    tensors, last = model.tensors, len(trace.tokens) - 1
    token = model.vocabulary.ids(trace.tokens)[-1]
    for kind, tensor, row in (("embedding", "wte", token), ("position", "wpe", last)):
        vector = tensors[f"{tensor}.weight"][row].astype(np.float64)
        name = f"token {trace.tokens[-1]}" if kind == "embedding" else f"position {last}"
        yield Added(kind, name, None, None, (), vector)  # type: ignore[arg-type]
    for block in range(model.shape.n_layer):
        known = None if names is None or block >= len(names.blocks) else names.blocks[block]
        c_proj = f"h.{block}.attn.c_proj"
        output = trace[f"h.{block}.attn.head_output"][:, last].astype(np.float64)  # [head, head_dim]
        rows = tensors[f"{c_proj}.weight"].reshape(*output.shape, -1)  # [head, head_dim, n_embd]
        for head, (values, written) in enumerate(zip(output, rows, strict=True)):
            if not written.any():
                continue
            used = known is not None and head < len(known.heads)
            name = known.heads[head].name if used and known is not None else f"head {head}"
            size = len(values)
            serves = served.rows(f"{c_proj}.weight", range(head * size, (head + 1) * size))
            yield Added("head", name, block, head, serves, values @ written.astype(np.float64))
        yield from _bias(model, block, "attn", served)
        if f"h.{block}.mlp.hidden" in trace:
            hidden = trace[f"h.{block}.mlp.hidden"][last].astype(np.float64)  # [unit]
            yield from _units(model, block, hidden, known.units if known else (), served)
            yield from _bias(model, block, "mlp", served)


def _bias(model: Model, block: int, of: str, served: Served) -> Iterator[Added]:
    """What a block adds at every position, a part for each of the rules and values that it serves."""
    name = f"h.{block}.{of}.c_proj.bias"
    bias = model.tensors[name].astype(np.float64)
    called = f"bias of the {'heads' if of == 'attn' else 'neurons'}"
    for serves, places in served.places(name).items():
        vector = np.zeros_like(bias)
        vector[places], bias[places] = bias[places], 0
        yield Added("bias", called, block, None, serves, vector)
    if bias.any():
        yield Added("bias", called, block, None, (), bias)


def _units(
    model: Model, block: int, hidden: Floats, names: Sequence[str], served: Served
) -> Iterator[Added]:
    """The neurons of a block: hidden units whose names are the same, but for what caps them."""
    tensor = f"h.{block}.mlp.c_proj.weight"
    weights = model.tensors[tensor]
    for name, units in neurons(names, len(hidden)):
        active = [unit for unit in units if hidden[unit]]
        if active:
            vector = hidden[active] @ weights[active].astype(np.float64)  # [unit] @ [unit, n_embd]
            if vector.any():
                yield Added("neuron", name, block, units[0], served.rows(tensor, units), vector)


def neurons(names: Sequence[str], count: int) -> Iterator[tuple[str, list[int]]]:
    """The neurons of a block and their hidden units; a unit without a name is one by itself."""
    found: dict[str, list[int]] = {}
    for unit in range(count):
        name = names[unit].removesuffix(", capped") if unit < len(names) else f"unit {unit}"
        found.setdefault(name, []).append(unit)
    yield from found.items()


def _unembedding(model: Model) -> Floats:
    name = "wte.weight" if model.architecture.tied else "lm_head.weight"
    found: Floats = model.tensors[name].astype(np.float64)
    return found


def _last(trace: Trace, name: str) -> Floats:
    last: Floats = trace[name][-1].astype(np.float64)
    return last


def _bound(model: Model, trace: Trace, unembedding: Floats, reader: Floats) -> Floats:
    """How far the rounding of the model can move each logit from the exact sum of the parts: [token].

    A sum of n products in floating point is off by at most g(n) times the sum of their sizes, where
    g(n) = n u / (1 - n u), in whatever order it is added (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, Lemma 3.1); u is half the distance from 1 to the next number.
    """
    unit = float(np.finfo(model.running_dtype).eps) / 2 + float(np.finfo(np.float64).eps)

    def g(n: int) -> float:
        return n * unit / (1 - n * unit)

    tensors, width = model.tensors, model.shape.n_embd
    off = unit * np.abs(_last(trace, "embedding"))  # [n_embd]
    for block in range(model.shape.n_layer):
        heads = np.abs(trace[f"h.{block}.attn.head_output"][:, -1].astype(np.float64)).ravel()
        sizes = heads @ np.abs(tensors[f"h.{block}.attn.c_proj.weight"].astype(np.float64))
        sizes += np.abs(tensors[f"h.{block}.attn.c_proj.bias"].astype(np.float64))
        off += g(len(heads) + 1) * sizes + unit * np.abs(_last(trace, f"h.{block}.after_attention"))
        if f"h.{block}.mlp.hidden" in trace:
            hidden = np.abs(_last(trace, f"h.{block}.mlp.hidden"))
            sizes = hidden @ np.abs(tensors[f"h.{block}.mlp.c_proj.weight"].astype(np.float64))
            sizes += np.abs(tensors[f"h.{block}.mlp.c_proj.bias"].astype(np.float64))
            off += g(len(hidden) + 1) * sizes + unit * np.abs(_last(trace, f"h.{block}.output"))
    bound: Floats
    read = np.abs(reader)  # [token, n_embd]
    stream = _last(trace, f"h.{model.shape.n_layer - 1}.output")
    if not model.architecture.has_norm:
        bound = read @ off + g(width) * (read @ np.abs(stream))
        return bound
    # the mean and the variance are sums of n_embd terms; about ten more operations follow them
    spread = np.abs(stream).mean() + np.abs(stream - stream.mean())
    scale = np.abs(unembedding * tensors["ln_f.weight"].astype(np.float64)) / np.sqrt(
        stream.var() + model.architecture.norm_epsilon
    )
    in_norm = scale @ (off + off.mean()) + g(width + 12) * (scale @ spread)
    normed = np.abs(_last(trace, "ln_f")) + np.abs(tensors["ln_f.bias"].astype(np.float64))
    bound = in_norm + g(width + 1) * (np.abs(unembedding) @ normed)
    return bound
