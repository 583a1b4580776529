"""How the free part of a model begins: its parameters, and the factors from them to the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.weights.compiled_part import CompiledPart


@dataclass(frozen=True, eq=False)
class FreePart:
    """The parameters of each tensor that are trained.

    LayerNorm divides the compiled and the free part by the same standard deviation, so a free part that
    grows would change what compiled heads and hidden units read. It is therefore written into the
    residual stream in small numbers, and the gains of LayerNorm enlarge them again. The parameters keep
    the size that they have in GPT-2, so learning rates for GPT-2 can be used.

    Args:
        trained: the parameters, as training begins.
        scale: the weights of the model are these factors times the parameters; each broadcasts to its
            tensor.
    """

    trained: Mapping[str, Array]
    scale: Mapping[str, Array]

    @classmethod
    def of(
        cls, part: CompiledPart, texts: Array, std: float, quiet: float, generator: np.random.Generator
    ) -> FreePart:
        """The free part of a model.

        Args:
            part: the model, and its compiled part.
            texts: some ids, [batch, position]; the residual stream is measured on them.
            std: the standard deviation of free numbers.
            quiet: the size of free numbers in the residual stream, as a share of its standard
            deviation.
            generator: makes the numbers.
        """
        model, free = part.model, ~part.dimensions
        seen = seen_by_norms(model, texts)
        written = quiet * seen["h.0.ln_1"].deviation
        trained: dict[str, Array] = {}
        scale: dict[str, Array] = {}
        for name, values in model.tensors.items():
            path, _, kind = name.rpartition(".")
            factor = np.ones(values.shape[-1], values.dtype)
            start = np.zeros_like(values)
            if path in seen:
                if kind == "weight":
                    start[:] = np.where(free, 1, values)
                    factor[free] = seen[path].deviation / (written * std * np.sqrt(2))
                if path == "ln_f" and model.architecture.tied:
                    factor[free] /= written  # the unembedding is as small as the embedding
            elif kind == "weight":
                spread = std / np.sqrt(2 * model.shape.n_layer) if path.endswith("c_proj") else std
                start[:] = generator.normal(0, spread, size=values.shape)
            if path in ("wte", "wpe") or path.endswith("c_proj"):
                factor[free] = written
            if kind == "weight" and path.endswith(("c_attn", "c_fc")):
                norm = path.replace("attn.c_attn", "ln_1").replace("mlp.c_fc", "ln_2")
                size = seen[norm].size * np.abs(model.tensors[f"{norm}.weight"])
                factor = 1 / np.maximum(size, 1)[:, None].astype(values.dtype)
            trained[name], scale[name] = start, factor
        return cls(trained, scale)


@dataclass(frozen=True, eq=False)
class Seen:
    """What one LayerNorm reads if there is only the compiled part.

    Args:
        deviation: the mean standard deviation of the residual stream, by which LayerNorm divides.
        size: the root mean square of each dimension after this division, before the gain: [n_embd].
    """

    deviation: float
    size: Array


def seen_by_norms(model: Model, texts: Array) -> dict[str, Seen]:
    """What every LayerNorm reads on some texts, by its name."""
    seen: dict[str, Seen] = {}
    reader = {"embedding": "h.0.ln_1"}
    last = model.shape.n_layer - 1
    for block in range(last + 1):
        reader[f"h.{block}.after_attention"] = f"h.{block}.ln_2"
        reader[f"h.{block}.output"] = "ln_f" if block == last else f"h.{block + 1}.ln_1"

    def measure(name: str, value: Array) -> None:
        if name in reader:  # [batch, position, n_embd]
            deviation = value.std(axis=-1, keepdims=True)
            normed = (value - value.mean(axis=-1, keepdims=True)) / deviation
            size = np.sqrt((normed**2).mean(axis=(0, 1)))
            seen[reader[name]] = Seen(float(deviation.mean()), size)

    model.watch(texts, measure)
    return seen
