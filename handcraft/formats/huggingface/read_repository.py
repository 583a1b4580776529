"""A GPT-2 or a Llama as Hugging Face's `save_pretrained` writes it, made here or anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from handcraft.architecture import Architecture
from handcraft.errors import CheckpointError
from handcraft.formats.foreign_files import check_folder, shown
from handcraft.formats.huggingface.config_json import CONFIG, read_config
from handcraft.formats.huggingface.facts import Config
from handcraft.formats.huggingface.tokenizer import read_vocabulary
from handcraft.formats.tensors.safetensors_file import prefix_of
from handcraft.formats.tensors.shards import FLOATS, StoredTensor, find_tensors, type_that_holds
from handcraft.model import Model, Shape
from handcraft.model.layers.attention import Array
from handcraft.vocabulary import shorten

HEAD = "lm_head.weight"

_BLOCK = re.compile(r"(?:h|layers)\.(\d+)\.")
_BUFFER = re.compile(r"h\.\d+\.attn\.(masked_)?bias|layers\.\d+\.self_attn\.rotary_emb\.inv_freq")
"""The causal mask and the frequencies, which old checkpoints contain, and which are not read."""


def read_huggingface(folder: Path) -> Model:
    """The model in a folder: config.json with model.safetensors, or with shards and their index.

    It may be a GPT-2, or a Llama or Mistral whose begin token is the last of its tokens. Tensors may be
    called as in `GPT2LMHeadModel` or, without ``transformer.``, as in `GPT2Model`; likewise those of
    `LlamaForCausalLM` and `LlamaModel`. They
    keep their type, float16, bfloat16, float32 or float64; where types are mixed, all get the smallest
    type that represents every value exactly. The type in config.json is ignored.

    Tokens have the names that tokenizer.json gives them, where it splits text into characters or words;
    otherwise they are called ``#0``, ``#1``, ... by their ids. The byte pairs of the published GPT-2
    are not built here: its texts have to be made into ids elsewhere. See `read_vocabulary`.

    Nothing outside the folder is read (but see `find_file` on the Hugging Face cache).

    Raises:
        CheckpointError: the folder has no such model in safetensors, or its files are damaged or
            contradict each other. Pickles are refused.
        SeveralErrors: several facts of config.json are wrong.
    """
    check_folder(folder, "save_pretrained")
    found = find_tensors(folder)
    config = read_config(folder)
    stored = _by_plain_names(found, prefix_of(config.architecture))
    _check_blocks(config, stored, folder)
    shape, architecture = config.shape, config.architecture
    _check_tensors(stored, shape, architecture, folder)
    begin = shape.n_vocab - 1 if architecture.is_rotary else None
    vocabulary = read_vocabulary(folder, shape.n_vocab, config.padding, begin)
    return Model(architecture, shape, vocabulary, _read_tensors(stored, shape, architecture))


def _by_plain_names(stored: Mapping[str, StoredTensor], prefix: str) -> dict[str, StoredTensor]:
    """The tensors without the name of the model around them, and without the buffers of old files."""
    plain: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        inner = name.removeprefix(prefix)
        short = name if inner.startswith("lm_head.") else inner
        if short in plain:
            raise CheckpointError(
                f"{shown(plain[short].name)} and {shown(name)} are two names of one tensor",
                where=tensor.path,
                fix="keep the one that was trained",
            )
        if not _BUFFER.fullmatch(short):
            plain[short] = tensor
    return plain


def _check_blocks(config: Config, stored: Mapping[str, StoredTensor], folder: Path) -> None:
    """Raise unless there are tensors of as many blocks as the config says."""
    blocks = {found[1] for found in map(_BLOCK.match, stored) if found}
    name = "num_hidden_layers" if config.architecture.is_rotary else "n_layer"
    if config.n_layer != len(blocks):
        raise CheckpointError(
            f"{name} is {config.n_layer}, and the files have tensors of {len(blocks)} blocks",
            where=folder / CONFIG,
            fix=f"use the weights that belong to this {CONFIG}, or correct {name}",
        )


def _check_tensors(
    stored: Mapping[str, StoredTensor], shape: Shape, architecture: Architecture, folder: Path
) -> None:
    """Raise unless the tensors are those of the model, by name, shape and type."""
    expected = shape.tensors(architecture)
    if HEAD in stored:
        expected[HEAD] = (shape.n_vocab, shape.n_embd)
    missing = [name for name in expected if name not in stored]
    foreign = [shown(tensor.name) for name, tensor in stored.items() if name not in expected]
    if missing or foreign:
        family = "Llama" if architecture.is_rotary else "GPT-2"
        lacks = [f"the files lack {shorten(missing, 3)}"] if missing else []
        extra = [f"the files have {shorten(foreign, 3)}, unknown to {family}"] if foreign else []
        raise CheckpointError(
            ", and ".join(lacks + extra),
            where=folder,
            fix=f"use the weights that belong to this {CONFIG}",
        )
    wrong = [name for name, sizes in expected.items() if stored[name].shape != sizes]
    if wrong:
        tensor, sizes = stored[wrong[0]], expected[wrong[0]]
        more = f"; {len(wrong) - 1} more differ" if len(wrong) > 1 else ""
        raise CheckpointError(
            f"{tensor.name} is {list(tensor.shape)}, but by {CONFIG} it should be {list(sizes)}{more}",
            where=tensor.path,
            fix=f"use the weights that belong to this {CONFIG}, or correct its sizes",
        )
    for tensor in stored.values():
        if tensor.dtype not in FLOATS:
            raise CheckpointError(
                f"{tensor.name} is of type {shown(tensor.dtype)}",
                where=tensor.path,
                fix=f"these types can be read: {', '.join(FLOATS)}",
            )


def _read_tensors(
    stored: Mapping[str, StoredTensor], shape: Shape, architecture: Architecture
) -> dict[str, Array]:
    names = list(shape.tensors(architecture))
    dtype = type_that_holds({stored[name].dtype for name in names})
    tensors = {name: stored[name].read().astype(dtype, copy=False) for name in names}
    if architecture.tied and HEAD in stored:
        embedding = "embed_tokens.weight" if architecture.is_rotary else "wte.weight"
        head = stored[HEAD]
        both = type_that_holds({head.dtype, stored[embedding].dtype})
        if not np.array_equal(head.read().astype(both), tensors[embedding].astype(both)):
            raise CheckpointError(
                f"{HEAD} differs from {embedding}, and {CONFIG} says that they are one tensor",
                where=head.path,
                fix="set tie_word_embeddings to false, or remove the one that was not trained",
            )
    return tensors
