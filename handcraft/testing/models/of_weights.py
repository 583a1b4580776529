"""Matrices in a dictionary as a model: edited weights of a known model, or all weights of a new one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from handcraft.architecture import BLOCK, GPT2
from handcraft.errors import ModelError
from handcraft.model import Model, Shape
from handcraft.model.layers.attention import Array
from handcraft.vocabulary import Vocabulary, shorten

Weights = Mapping[str, npt.ArrayLike]
"""The tensors of a model by their names in GPT-2 checkpoints, such as ``h.0.attn.c_proj.bias``."""

_BLOCK = re.compile(r"h\.(\d+)\.")
_MAY_BE_ZERO = (".bias",)


def edited(model: Model, weights: Weights) -> Model:
    """A model with some of its weights replaced.

    Raises:
        ModelError: it has no such tensor, or one of another shape.
    """
    unknown = [name for name in weights if name not in model.tensors]
    if unknown:
        raise ModelError(
            f"the model has no tensor {shorten(unknown, 3)}",
            fix=f"its tensors are {shorten([*model.tensors], 20)}",
        )
    arrays = {name: np.asarray(array, dtype=model.dtype) for name, array in weights.items()}
    _check_shapes(arrays, {name: tensor.shape for name, tensor in model.tensors.items()})
    return replace(model, tensors={**model.tensors, **arrays})


def of_weights(weights: Weights, vocabulary: Vocabulary, heads: int = 1) -> Model:
    """The GPT-2 that some tensors make: with LayerNorm if there are any of it, else a bare block.

    Biases that are left out are 0. Matrices are [in, out], as GPT-2 stores them; the logits are inner
    products with the rows of ``wte.weight`` unless there is an ``lm_head.weight``.

    Raises:
        ModelError: tensors are missing or unknown, or their shapes do not fit together.
    """
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    wide = any(array.dtype == np.float64 for array in arrays.values())
    arrays = {name: array.astype(np.float64 if wide else np.float32) for name, array in arrays.items()}
    for name in ("wte.weight", "wpe.weight"):
        if name not in arrays or arrays[name].ndim != 2:
            raise ModelError(
                f"there is no matrix {name!r}",
                where=f"the weights {shorten([*arrays], 8)}",
                fix="give wte.weight, [token, n_embd], and wpe.weight, [position, n_embd]",
            )
    blocks = {int(found[1]) for found in map(_BLOCK.match, arrays) if found}
    inner = [arrays.get(f"h.{i}.mlp.c_fc.weight", np.zeros((0, 0))).shape[-1] for i in sorted(blocks)]
    tokens, width = arrays["wte.weight"].shape
    has_norm = any(".ln_1." in name or name.startswith("ln_f.") for name in arrays)
    architecture = replace(GPT2 if has_norm else BLOCK, tied="lm_head.weight" not in arrays)
    shape = Shape(tokens, arrays["wpe.weight"].shape[0], width, heads, tuple(inner))
    expected = shape.tensors(architecture)
    missing = [n for n in expected if n not in arrays and not n.endswith(_MAY_BE_ZERO)]
    unknown = [name for name in arrays if name not in expected]
    if missing or unknown:
        parts = [f"it lacks {shorten(missing, 4)}"] if missing else []
        parts += [f"it has {shorten(unknown, 4)}, which are unknown"] if unknown else []
        raise ModelError(
            f"this is no {architecture.name} of {len(inner)} blocks: {', and '.join(parts)}",
            where=f"the weights {shorten([*arrays], 8)}",
            fix=f"name the tensors as GPT-2 does: {shorten([*expected], 20)}",
        )
    if width % heads:
        raise ModelError(
            f"{heads} heads of {width} dimensions", fix="give heads= a divisor of the width"
        )
    _check_shapes(arrays, expected)
    if len(vocabulary) > tokens:
        raise ModelError(
            f"wte.weight has {tokens} rows, and the vocabulary {len(vocabulary)} tokens",
            fix="give a row for each token",
        )
    dtype = arrays["wte.weight"].dtype
    tensors = {name: arrays.get(name, np.zeros(sizes, dtype)) for name, sizes in expected.items()}
    return Model(architecture, shape, vocabulary, tensors)


def _check_shapes(arrays: Mapping[str, Array], expected: Mapping[str, tuple[int, ...]]) -> None:
    for name, array in arrays.items():
        if array.shape != expected[name]:
            raise ModelError(
                f"{name} is {list(array.shape)}, and {list(expected[name])} is expected",
                fix="matrices are [in, out], as GPT-2 stores them"
                if array.shape == expected[name][::-1]
                else f"give it the shape {list(expected[name])}",
            )
