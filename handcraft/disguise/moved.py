"""A model with its residual stream, heads, hidden units and tokens moved as a map says.

Every tensor is linear in the old one: what writes the stream is multiplied by the map of the stream,
what reads it by the inverse, and the channels of heads by the maps of their copies. So one function
serves every disguise that moves what is there, and it moves parts of weights just as it moves the
weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from handcraft.disguise.carried import NONE, Carried, HeadCopy, Ids
from handcraft.disguise.fold_norms import fold_norms, readers
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.vocabulary import Vocabulary


def moved(model: Model, step: Carried, *, untie: bool = False) -> Model:
    """The model to which a map leads. It gives the same answers, up to rounding in float64.

    On everything that a reader needs, the map of the stream is a multiple of an isometry. It maps the
    direction in which all dimensions are equal, which LayerNorm removes, to the same direction of the
    new stream, or to 0.

    Args:
        model: in float64.
        step: the map.
        untie: whether the unembedding may become a tensor of its own.

    Raises:
        ModelError: the unembedding would have to, and must not.
    """
    if not is_along_axes(step.stream):
        model = fold_norms(model, untie=untie)
    vocabulary = Vocabulary(
        model.vocabulary.tokens, ids=[step.token(number) for number in model.vocabulary.numbers]
    )
    tensors = moved_tensors(model, step, model.tensors) | _norms(model, step)
    names = step.new.tensors(model.architecture)
    return replace(
        model, shape=step.new, vocabulary=vocabulary, tensors={name: tensors[name] for name in names}
    )


def is_along_axes(stream: Array) -> bool:
    """Whether each old dimension becomes a multiple of a new one, so that gains may differ."""
    taken = stream != 0
    return bool((taken.sum(axis=0) == 1).all() and (taken.sum(axis=1) <= 1).all())


def moved_tensors(
    model: Model, step: Carried, part: Mapping[str, Array], *, folded: bool = False
) -> dict[str, Array]:
    """A part of the weights, moved; parts that sum to the weights are moved to parts that do.

    Args:
        model: of this architecture.
        step: the map.
        part: the matrices, embeddings and biases; gains and biases of LayerNorm are not parts.
        folded: whether matrices contain the gains of LayerNorm, and must contain them afterwards, even
            if the map is along axes.
    """
    writing = step.stream.T  # [old, new]: what is written
    reading = _reading(model, step, folded=folded)  # [new, old]: rows of what reads
    tensors = {
        "wte.weight": _rows(part["wte.weight"] @ writing, step.tokens),
        "wpe.weight": _padded(part["wpe.weight"] @ writing, step.new.n_positions),
    }
    if not model.architecture.tied:
        tensors["lm_head.weight"] = _rows(part["lm_head.weight"] @ reading.T, step.tokens)
    for new, old in enumerate(step.blocks):
        tensors |= _zeros(model, step, new)
        if old is None:
            continue
        to, before = f"h.{new}", f"h.{old}"
        channels = _Channels(step, new, model.architecture.score_scale(step.new.head_dim, new))
        was = model.architecture.score_scale(step.old.head_dim, old)
        tensors[f"{to}.attn.c_attn.weight"] = channels.read(
            reading @ part[f"{before}.attn.c_attn.weight"], was
        )
        bias = part[f"{before}.attn.c_attn.bias"][None]
        tensors[f"{to}.attn.c_attn.bias"] = channels.read(bias, was)[0]
        written = part[f"{before}.attn.c_proj.weight"] @ writing
        tensors[f"{to}.attn.c_proj.weight"] = channels.written(written)
        tensors[f"{to}.attn.c_proj.bias"] = part[f"{before}.attn.c_proj.bias"] @ writing
        if step.old.n_inner[old]:
            units, shares = step.units[new], step.shares[new]
            fc = part[f"{before}.mlp.c_fc.weight"]
            tensors[f"{to}.mlp.c_fc.weight"] = _rows((reading @ fc).T, units).T
            tensors[f"{to}.mlp.c_fc.bias"] = _rows(part[f"{before}.mlp.c_fc.bias"], units)
            out = _rows(part[f"{before}.mlp.c_proj.weight"] @ writing, units)
            tensors[f"{to}.mlp.c_proj.weight"] = shares[:, None] * out
            tensors[f"{to}.mlp.c_proj.bias"] = part[f"{before}.mlp.c_proj.bias"] @ writing
    return tensors


def carried_weights(
    original: Model, disguised: Model, carried: Carried, part: Mapping[str, Array]
) -> dict[str, Array]:
    """A part of the original's weights, as it is in the disguise: for weight components, for example.

    Parts that sum to the weights of the original, such as one for each rule, become parts that sum to
    the weights of the disguise, apart from distractors, noise and rounding.

    Args:
        original: in float64.
        disguised: what `carried` leads to.
        carried: the map.
        part: numbers for every matrix, embedding and bias of the original.

    Returns:
        Numbers for the same tensors of the disguise.
    """
    head = "wte.weight" if original.architecture.tied else "lm_head.weight"
    whole = dict(part)
    gains: dict[str, tuple[str, Array]] = {}
    if original.architecture.has_norm:
        for norm, reader in readers(original).items():
            gain, bias = original.tensors[f"{norm}.weight"], original.tensors[f"{norm}.bias"]
            weight = part[f"{reader}.weight"]
            whole[f"{reader}.weight"] = gain[:, None] * weight
            whole[f"{reader}.bias"] = part[f"{reader}.bias"] + bias @ weight
        whole["lm_head.weight"] = part[head] * original.tensors["ln_f.weight"]
        for norm, reader in readers(disguised).items():
            gains[f"{reader}.weight"] = norm, disguised.tensors[f"{norm}.weight"][:, None]
        gains["lm_head.weight"] = "ln_f", disguised.tensors["ln_f.weight"]
    elif not disguised.architecture.tied:
        whole["lm_head.weight"] = part[head]
    found = moved_tensors(disguised, carried, whole, folded=True)
    for name, (norm, gain) in gains.items():
        if name in found:
            found[name] = np.divide(found[name], gain, out=np.zeros_like(found[name]), where=gain != 0)
        bias = disguised.tensors[f"{norm}.bias"]
        if name.endswith("lm_head.weight") or not bias.any():
            continue
        reader = name.removesuffix(".weight")
        found[f"{reader}.bias"] = found[f"{reader}.bias"] - bias @ found[name]
    return found


def scale_of(stream: Array) -> float:
    """By what a map of the stream multiplies lengths, in the mean over the dimensions that it keeps."""
    values = np.linalg.svd(stream, compute_uv=False)
    kept = values[values > values[0] * 1e-9]
    return float(np.sqrt(np.square(kept).mean()))


def _widened(model: Model, step: Carried) -> float:
    """By what LayerNorm multiplies the isometry of a stream with more dimensions, or fewer.

    It divides by the root of the mean over all dimensions, of which there are more.
    """
    return sqrt(step.new.n_embd / step.old.n_embd) if model.architecture.has_norm else 1.0


def _reading(model: Model, step: Carried, *, folded: bool = False) -> Array:
    """What reads the new stream, of what reads the old one: [new, old]."""
    if model.architecture.has_norm and is_along_axes(step.stream) and not folded:
        return np.asarray(step.stream != 0, dtype=np.float64)  # gains undo the factor
    if not model.architecture.has_norm:
        return np.asarray(step.inverse.T)
    return np.asarray(step.inverse.T * (scale_of(step.stream) / _widened(model, step)))


def _norms(model: Model, step: Carried) -> dict[str, Array]:
    """Gains and biases of every LayerNorm."""
    if not model.architecture.has_norm:
        return {}
    found: dict[str, Array] = {}
    old_names = {f"h.{new}.{ln}": old for new, old in enumerate(step.blocks) for ln in ("ln_1", "ln_2")}
    for name, old in old_names.items():
        before = None if old is None else f"h.{old}.{name.rpartition('.')[2]}"
        gain: Array = np.ones(step.new.n_embd)
        bias: Array = np.zeros(step.new.n_embd)
        if before is not None and f"{before}.weight" in model.tensors:
            gain, bias = _norm(model, step, before)
        found |= {f"{name}.weight": gain, f"{name}.bias": bias}
    gain, bias = _norm(model, step, "ln_f")
    if model.architecture.tied:  # which multiplies by the factor of the embedding once more
        scale = scale_of(step.stream)
        gain, bias = gain / scale, bias / scale
        if not is_along_axes(step.stream):
            gain = gain / _widened(model, step)
            bias = model.tensors["ln_f.bias"] @ step.inverse
    elif not is_along_axes(step.stream) and model.tensors["ln_f.bias"].any():
        bias = model.tensors["ln_f.bias"] @ np.linalg.pinv(_reading(model, step))
    return found | {"ln_f.weight": gain, "ln_f.bias": bias}


def _norm(model: Model, step: Carried, name: str) -> tuple[Array, Array]:
    """The gain and the bias of a LayerNorm that is kept."""
    gain, bias = model.tensors[f"{name}.weight"], model.tensors[f"{name}.bias"]
    if not is_along_axes(step.stream):
        return np.full(step.new.n_embd, gain[0]), np.zeros(step.new.n_embd)
    place = np.argmax(step.stream != 0, axis=0)  # of each old dimension
    signs = np.sign(step.stream[place, np.arange(step.old.n_embd)])
    assert (signs > 0).all(), "dimensions that change their sign are no use of gains"
    new_gain, new_bias = np.ones(step.new.n_embd), np.zeros(step.new.n_embd)
    new_gain[place], new_bias[place] = gain / _widened(model, step), bias
    return new_gain, new_bias


@dataclass(frozen=True)
class _Channels:
    """The channels of the heads of one new block.

    Args:
        step: the map.
        block: the new block.
        scale: by what its scores are multiplied.
    """

    step: Carried
    block: int
    scale: float

    def read(self, old: Array, scale: float) -> Array:
        """Columns of c_attn: [rows, 3 old n_embd] -> [rows, 3 new n_embd].

        `scale` is by what the old scores are multiplied; queries make up for the difference.
        """
        new, wide = self.step.new, self.step.old.head_dim
        parts = np.split(old, 3, axis=-1)
        found = np.zeros((3, len(old), new.n_head, new.head_dim))
        for i, copy in self._copies():
            columns = slice(copy.source.number * wide, (copy.source.number + 1) * wide)
            maps = (copy.query * (scale / self.scale), copy.key, copy.value)
            for part, matrix, into in zip(parts, maps, found, strict=True):
                into[:, i] = part[:, columns] @ matrix.T
        return np.concatenate([each.reshape(len(old), new.n_embd) for each in found], axis=-1)

    def written(self, old: Array) -> Array:
        """Rows of c_proj: [old n_embd, out] -> [new n_embd, out]."""
        new, wide = self.step.new, self.step.old.head_dim
        found = np.zeros((new.n_head, new.head_dim, old.shape[-1]))
        for i, copy in self._copies():
            rows = slice(copy.source.number * wide, (copy.source.number + 1) * wide)
            found[i] = copy.output @ old[rows]
        return found.reshape(new.n_embd, old.shape[-1])

    def _copies(self) -> list[tuple[int, HeadCopy]]:
        return [(i, copy) for i, copy in enumerate(self.step.heads[self.block]) if copy is not None]


def _zeros(model: Model, step: Carried, block: int) -> dict[str, Array]:
    """A block of zeros, which adds nothing."""
    return {
        name: np.zeros(shape)
        for name, shape in step.new.tensors(model.architecture).items()
        if name.startswith(f"h.{block}.") and ".ln_" not in name
    }


def _rows(old: Array, chosen: Ids) -> Array:
    """The old rows that are chosen, and zeros where none is."""
    found = np.zeros((len(chosen), *old.shape[1:]))
    found[chosen != NONE] = old[chosen[chosen != NONE]]
    return found


def _padded(old: Array, positions: int) -> Array:
    """The rows of old positions, and zeros for those that were added."""
    found = np.zeros((positions, old.shape[-1]))
    found[: len(old)] = old
    return found
