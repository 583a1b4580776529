"""Fold the gains and biases of LayerNorm into the matrices that read it, so that the stream can rotate.

LayerNorm computes ``gain * x / std(x) + bias`` of a centred x. A rotation commutes with the division,
but not with a gain that differs between dimensions: so each gain goes into the rows of the next matrix,
and each bias into its bias. What remains is one number for all dimensions, a power of two.

Dividing by a power of two is exact. A product of a gain and a weight is rounded once, in the dtype in
which the disguise is stored, unless the gain is a power of two itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handcraft.errors import ModelError
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.phrase import Phrase, phrase, setting

CLOSE = 1e-9
"""How far, relatively, what an untied unembedding adds to the logits may be off in float64."""


def readers(model: Model) -> dict[str, str]:
    """The matrix that reads each LayerNorm, except the last."""
    found: dict[str, str] = {}
    for layer, inner in enumerate(model.shape.n_inner):
        found[f"h.{layer}.ln_1"] = f"h.{layer}.attn.c_attn"
        if inner:
            found[f"h.{layer}.ln_2"] = f"h.{layer}.mlp.c_fc"
    return found


def fold_norms(model: Model, *, untie: bool = False) -> Model:
    """The same function with one gain for all dimensions of each LayerNorm, and no bias before a block.

    Args:
        model: in float64.
        untie: whether the unembedding may become a tensor of its own.

    Raises:
        ModelError: the unembedding is the token embedding, which no gains fit, and it must stay so.
    """
    if not model.architecture.has_norm:
        return model
    tensors = dict(model.tensors)
    for norm, reader in readers(model).items():
        gain, bias = tensors[f"{norm}.weight"], tensors[f"{norm}.bias"]
        weight = tensors[f"{reader}.weight"]  # [n_embd, out]
        kept = _power_of_two(gain)
        tensors[f"{reader}.bias"] = tensors[f"{reader}.bias"] + bias @ weight
        tensors[f"{reader}.weight"] = (gain / kept)[:, None] * weight
        tensors[f"{norm}.weight"] = np.full_like(gain, kept)
        tensors[f"{norm}.bias"] = np.zeros_like(bias)
    return _fold_last(replace(model, tensors=tensors), untie=untie)


def _fold_last(model: Model, *, untie: bool) -> Model:
    """The same for ln_f, whose reader is the unembedding, which may be the token embedding."""
    tensors = dict(model.tensors)
    gain, bias = tensors["ln_f.weight"], tensors["ln_f.bias"]
    if model.architecture.tied:
        used = gain[np.abs(tensors["wte.weight"]).sum(axis=0) > 0]
        if not len(used) or (used == used[0]).all():
            tensors["ln_f.weight"] = np.full_like(gain, used[0] if len(used) else 1.0)
            return replace(model, tensors=tensors)
        if not untie:
            raise ModelError(
                f"the unembedding is the token embedding, and ln_f scales its dimensions by "
                f"{len(np.unique(used))} different gains, from {used.min():g} to {used.max():g}: "
                "no rotation of the embedding does both",
                where="ln_f.weight",
                fix=phrase(
                    "let the unembedding become a tensor of its own: ",
                    Phrase("untie=True", setting("untie").command),
                ),
            )
        model = replace(model, architecture=replace(model.architecture, tied=False))
        tensors["lm_head.weight"] = tensors["wte.weight"]
    head = tensors["lm_head.weight"]  # [n_vocab, n_embd]
    kept = _power_of_two(gain)
    folded = head * (gain / kept)
    added = head @ bias  # to the logits
    solved = np.linalg.lstsq(folded, added, rcond=None)[0] if bias.any() else np.zeros_like(bias)
    if np.abs(folded @ solved - added).max(initial=0) > CLOSE * np.abs(added).max(initial=1e-300):
        raise ModelError(
            "ln_f has a bias in dimensions where its gain is 0, so that no matrix takes up the gain",
            where="ln_f.bias",
            fix="leave out what moves the residual stream: rotation, superposition, a larger width",
        )
    tensors |= {"lm_head.weight": folded, "ln_f.weight": np.full_like(gain, kept), "ln_f.bias": solved}
    return replace(
        model, tensors={name: tensors[name] for name in model.shape.tensors(model.architecture)}
    )


def _power_of_two(gain: Array) -> float:
    """The power of two next to the root mean square of gains; 1 if they are all 0."""
    size = float(np.sqrt(np.square(gain).mean()))
    return float(2.0 ** round(np.log2(size))) if size > 0 else 1.0
