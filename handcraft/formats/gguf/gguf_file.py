"""A model as a GGUF file, which llama.cpp and what is built on it read."""

from __future__ import annotations

from contextlib import closing
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from handcraft.dtype import DTYPES, dtype_named
from handcraft.errors import CheckpointError
from handcraft.formats.foreign_files import import_extra
from handcraft.formats.gguf.stored_tensors import stored_tensors
from handcraft.formats.gguf.tokenizer import add_tokenizer
from handcraft.model import Model

FILE = "model.gguf"
"""The one file, tokenizer included."""


def write_gguf(model: Model, folder: Path) -> None:
    """Write a model as a GGUF file of the architecture ``gpt2`` or ``llama``, with its own tokenizer.

    Matrices keep their type, as [out, in]. Norms, biases and the position embedding are
    float32, as llama.cpp requires.

    The tokenizer is GPT-2's with another vocabulary. Text over a vocabulary of characters is split
    exactly into its tokens: characters are never merged, and the UTF-8 bytes of a character are merged
    to that character only. Words are user-defined tokens, which llama.cpp finds in the text before
    anything else, the longest first: words separated by spaces become exactly their tokens, and the
    spaces are dropped. The text of answers has no spaces between words. Anything that is not in the
    vocabulary is dropped silently, and a word is also found inside a longer, unknown one.

    Ids without a token are named ``<unused...>``, the highest ``<pad>``. llama.cpp needs a token that
    ends a text, and ``<pad>`` is that token: a compiled program never predicts it.

    The begin token of a Llama is named ``<s>``; the tokenizer puts it before every text, and it is the
    token that ends one.

    There is no position past n_positions: llama.cpp rounds the context length up to a multiple of 256,
    and a text that grows longer than the model crashes the process.

    Raises:
        CheckpointError: llama.cpp computes another GPT-2 or Llama than the model, its type is float64,
            or the gguf package is missing.

    Warns:
        HandcraftWarning: every id has a token, so that llama.cpp ends a text at one that may be an
            answer.
    """
    path = folder / FILE
    _check_model(model, path)
    gguf = import_extra("gguf", "GGUF")
    stored = stored_tensors(model)
    with closing(gguf.GGUFWriter(path, "llama" if model.architecture.is_rotary else "gpt2")) as writer:
        _add_facts(writer, gguf, model)
        add_tokenizer(writer, gguf, model)
        for tensor in stored:
            kind = gguf.GGMLQuantizationType[tensor.dtype.code]
            size = prod(tensor.shape) * tensor.dtype.numpy.itemsize
            any_type = np.dtype(np.uint16)  # `kind` says it
            writer.add_tensor_info(tensor.name, tensor.shape, any_type, size, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in stored:
            writer.write_tensor_data(tensor.read(model))


def _check_model(model: Model, path: Path) -> None:
    """Raise unless llama.cpp computes what the model does."""
    architecture, inner = model.architecture, sorted(set(model.shape.n_inner))
    family = "Llama" if architecture.is_rotary else "GPT-2"
    reasons = architecture.unlike_llama if architecture.is_rotary else architecture.unlike_gpt2
    if architecture.window is not None:
        reasons.append("its positions see a window, and llama.cpp gives a Llama none")
    if len(inner) != 1 or inner == [0]:
        reasons.append(
            f"its MLPs have {' and '.join(map(str, inner)) or 'no'} hidden units, not one size"
        )
    if reasons:
        raise CheckpointError(
            f"GGUF's {family} is another architecture than `{architecture.name}`: {'; '.join(reasons)}",
            where=path,
            fix="write ONNX"
            if architecture.is_rotary
            else "compile for the architecture gpt2, or write ONNX",
        )
    if dtype_named(model.dtype.name).gguf is None:
        raise CheckpointError(
            f"the weights are {model.dtype.name}, and llama.cpp computes in float32 at most",
            where=path,
            fix=f"compile with one of: {', '.join(each.name for each in DTYPES if each.gguf)}",
        )


def _add_facts(writer: Any, gguf: Any, model: Model) -> None:
    shape, architecture = model.shape, model.architecture
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_block_count(shape.n_layer)
    writer.add_context_length(shape.n_positions)
    writer.add_embedding_length(shape.n_embd)
    writer.add_feed_forward_length(shape.n_inner[0])
    writer.add_head_count(shape.n_head)
    if architecture.is_rotary:
        writer.add_head_count_kv(shape.kv_heads)
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.head_dim)
        writer.add_rope_dimension_count(shape.head_dim)
        writer.add_rope_freq_base(architecture.theta)
        writer.add_layer_norm_rms_eps(architecture.norm_epsilon)
        writer.add_vocab_size(shape.n_vocab)
    else:
        writer.add_layer_norm_eps(architecture.norm_epsilon)
    writer.add_file_type(int(gguf.LlamaFileType[dtype_named(model.dtype.name).gguf]))
