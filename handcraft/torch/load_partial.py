"""A model in PyTorch of which the compiled part is frozen, and the rest may be trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from handcraft.errors import ModelError
from handcraft.formats import is_checkpoint, read_checkpoint
from handcraft.formats import load as load_model
from handcraft.formats.folder import whole_folder
from handcraft.formats.huggingface.write_repository import config as config_of
from handcraft.formats.huggingface.write_repository import free_id, write_model
from handcraft.model import Model, check_gpt2
from handcraft.model.layers.attention import Array
from handcraft.phrase import Words, phrase, setting
from handcraft.torch.free_part import FreePart
from handcraft.torch.frozen import Frozen, freeze
from handcraft.weights.compiled_part import CompiledPart, Mask

SAMPLE = 64
"""On how many random texts the length of the residual stream and the margins are measured."""


@dataclass(frozen=True, eq=False)
class Partial:
    """A model whose compiled part is frozen.

    Args:
        module: the `GPT2LMHeadModel` to train, in training mode and without dropout. Any optimizer and
            any training loop will do: frozen numbers have no gradient and no weight decay.
        start: the model as training began.
        part: says which dimensions, heads and hidden units are compiled.
    """

    module: GPT2LMHeadModel
    start: Model
    part: CompiledPart

    @property
    def model(self) -> Model:
        """The model as it is trained so far, in NumPy: to trace, explain and draw."""
        tensors: dict[str, Array] = {}
        for name in self.start.tensors:
            path, _, kind = name.rpartition(".")
            numbers = getattr(self.module.transformer.get_submodule(path), kind)
            tensors[name] = numbers.detach().cpu().numpy().copy()
        return replace(self.start, tensors=tensors)

    def save(self, folder: str | Path) -> Path:
        """Write the model as trained so far: a Hugging Face folder that loads anywhere.

        Raises:
            CheckpointError: the folder is not empty, or cannot be written.
        """
        target = Path(folder)
        with whole_folder(target) as partly:
            write_model(self.model, partly)
        return target


def load(
    folder: str | Path,
    *,
    blocks: int = 0,
    std: float = 0.02,
    logit_margin: float | None = None,
    isolated: bool = True,
    quiet: float = 1e-3,
    seed: int = 0,
) -> Partial:
    """Load a compiled GPT-2 whose compiled part is frozen and whose other weights can be trained.

    Free numbers begin as in GPT-2: normally distributed, and those of `c_proj` divided by the root of
    twice the number of blocks (Radford et al. 2019, section 2.3). After LayerNorm the free dimensions
    begin with a root mean square of 1, however large the numbers of the compiled part are.

    Args:
        folder: a compiled folder, or any GPT-2 folder that has dimensions, heads and hidden units of
            zeros; ``handcraft compile --n-embd 128 --n-head 4`` leaves some.
        blocks: how many trainable blocks are added after those of the folder.
        std: the standard deviation of free numbers at the start.
        logit_margin: by how many nats the answers of the compiled part lead at the start; the gains of
            ln_f are then trained too. If left out, they lead as in the folder, often by 30 nats or
            more, which leaves nothing to learn.
        isolated: whether free weights may not write into dimensions of the compiled part.
        quiet: the size of the free part in the residual stream, as a share of the compiled part's.
        seed: the seed of the free numbers.

    Returns:
        The model, its compiled part, and how it began.

    Raises:
        ModelError: nothing is free, the model has no LayerNorm, or an argument is out of range.
    """
    if blocks < 0:
        raise ModelError(f"blocks={blocks} cannot be added", fix="give blocks=0 or more")
    if logit_margin is not None and not 0 < logit_margin < inf:
        raise ModelError(
            f"no answer can lead by logit_margin={logit_margin}",
            fix="give a number of nats above 0, such as logit_margin=2.0",
        )
    compiled = load_model(folder)
    check_gpt2(compiled, "training around a compiled part is made")
    if not compiled.architecture.has_norm:
        raise ModelError(
            f"{compiled.architecture.name} is no GPT-2, and transformers cannot train it",
            where=Path(folder),
            fix="compile it again for gpt2",
        )
    generator = np.random.default_rng(seed)
    texts = generator.choice(
        np.array(compiled.vocabulary.numbers), size=(SAMPLE, compiled.shape.n_positions)
    )
    whole = grown(compiled, blocks)
    part = CompiledPart.of(whole)
    masks = part.masks(isolated=isolated)
    if part.dimensions.all():
        raise ModelError(
            f"all {whole.shape.n_embd} dimensions of the residual stream are used, so nothing is free",
            where=Path(folder),
            fix=_wider(Path(folder), 2 * whole.shape.n_embd),
        )
    free = FreePart.of(part, texts, std, quiet, generator)
    if logit_margin is not None:
        loudness = logit_margin / smallest_margin(compiled, texts)
        for name in ("ln_f.weight", "ln_f.bias"):
            masks[name] &= whole.tensors[name] == 0
            free.trained[name][part.dimensions] = (whole.tensors[name] * loudness)[part.dimensions]
    tensors = {
        name: np.where(masks[name], values, free.trained[name] * free.scale[name])
        for name, values in whole.tensors.items()
    }
    start = replace(whole, tensors=tensors)
    return Partial(torch_model(start, masks, free), start, part)


def _wider(folder: Path, n_embd: int) -> Words:
    """What to load in place of a folder in which nothing is free."""
    if not is_checkpoint(folder):
        return "load a folder that `handcraft compile` wrote: a model from elsewhere cannot be widened"
    if read_checkpoint(folder).manifest.disguised:
        return "load its original, compiled wider than it needs"
    return phrase("compile the program again with ", setting("n_embd", n_embd))


def grown(model: Model, blocks: int) -> Model:
    """The model with further blocks after its own, which add nothing: all their matrices are 0."""
    inner = (*model.shape.n_inner, *(4 * model.shape.n_embd,) * blocks)
    shape = replace(model.shape, n_inner=inner)
    tensors = {
        name: model.tensors[name]
        if name in model.tensors
        else np.full(sizes, float(".ln_" in name and name.endswith("weight")), model.dtype)
        for name, sizes in shape.tensors(model.architecture).items()
    }
    return replace(model, shape=shape, tensors=tensors)


def smallest_margin(model: Model, texts: Array) -> float:
    """By how many nats the highest logit leads the second at least, on some texts."""
    ordered = np.sort(model.forward(texts), axis=-1)
    return float((ordered[..., -1] - ordered[..., -2]).min())


def torch_model(model: Model, masks: Mapping[str, Mask], free: FreePart) -> GPT2LMHeadModel:
    """A `GPT2LMHeadModel` with these weights; those where the masks are true are frozen."""
    config = GPT2Config(**config_of(model, free_id(model.vocabulary, model.shape)))
    module = GPT2LMHeadModel(config)
    module.transformer.load_state_dict(
        {name: torch.from_numpy(values.copy()) for name, values in free.trained.items()}
    )
    module.tie_weights()
    for name, values in model.tensors.items():
        arrays = (masks[name], values, free.scale[name])
        path, _, kind = name.rpartition(".")
        freeze(module.transformer.get_submodule(path), kind, Frozen(*map(torch.from_numpy, arrays)))
        if name == "wte.weight" and model.architecture.tied:  # one parameter, which both read
            freeze(module.lm_head, kind, Frozen(*map(torch.from_numpy, arrays)))
    module.train()
    return module
