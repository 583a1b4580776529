"""A model as a GGUF file, which llama.cpp and what is built on it read."""

from __future__ import annotations

import warnings
from contextlib import closing
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from handcraft.dtype import DTYPES, FLOAT32, DType, dtype_named
from handcraft.errors import CheckpointError, HandcraftWarning
from handcraft.formats.foreign_files import import_extra
from handcraft.model import Model
from handcraft.vocabulary import Vocabulary
from handcraft.weights import PADDING

FILE = "model.gguf"
"""The one file, tokenizer included."""

NAMES = {
    "wte": "token_embd",
    "wpe": "position_embd",
    "ln_f": "output_norm",
    "lm_head": "output",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
"""What llama.cpp calls the parts of a GPT-2; those of a block begin with ``blk.{i}``."""

NO_MERGE = "<none> <none>"
"""A merge of two pieces that occur in no text: the list of merges is required, and cannot be empty."""

DEFAULT_END = 11
"""The token that llama.cpp takes for the end of a text when none is named, if there are so many."""


def write_gguf(model: Model, folder: Path) -> None:
    """Write a model as a GGUF file of the architecture ``gpt2``, with its own tokenizer.

    Matrices keep their type, transposed to [out, in]. Norms, biases and the position embedding are
    float32, as llama.cpp requires.

    The tokenizer is GPT-2's with another vocabulary. Text over a vocabulary of characters is split
    exactly into its tokens: characters are never merged, and the UTF-8 bytes of a character are merged
    to that character only. Words are user-defined tokens, which llama.cpp finds in the text before
    anything else, the longest first: words separated by spaces become exactly their tokens, and the
    spaces are dropped. The text of answers has no spaces between words. Anything that is not in the
    vocabulary is dropped silently, and a word is also found inside a longer, unknown one.

    Ids without a token are named ``<unused...>``, the highest ``<pad>``. llama.cpp needs a token that
    ends a text, and ``<pad>`` is that token: a compiled program never predicts it.

    There is no position past n_positions: llama.cpp rounds the context length up to a multiple of 256,
    and a text that grows longer than the model crashes the process.

    Raises:
        CheckpointError: the model is not one that llama.cpp computes as a GPT-2, its type is float64,
            or the gguf package is missing.

    Warns:
        HandcraftWarning: every id has a token, so that llama.cpp ends a text at one that may be an
            answer.
    """
    path = folder / FILE
    _check_model(model, path)
    gguf = import_extra("gguf", "GGUF")
    stored = _stored_tensors(model)
    with closing(gguf.GGUFWriter(path, "gpt2")) as writer:
        _add_facts(writer, gguf, model)
        _add_tokenizer(writer, gguf, model.vocabulary, model.shape.n_vocab)
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
    """Raise unless llama.cpp's GPT-2 computes what the model does."""
    architecture, inner = model.architecture, sorted(set(model.shape.n_inner))
    reasons = architecture.unlike_gpt2
    if len(inner) != 1 or inner == [0]:
        reasons.append(
            f"its MLPs have {' and '.join(map(str, inner)) or 'no'} hidden units, not one size"
        )
    if reasons:
        raise CheckpointError(
            f"GGUF's GPT-2 is another architecture than `{architecture.name}`: {'; '.join(reasons)}",
            where=path,
            fix="compile for the architecture gpt2, or write ONNX",
        )
    if dtype_named(model.dtype.name).gguf is None:
        raise CheckpointError(
            f"the weights are {model.dtype.name}, and llama.cpp computes in float32 at most",
            where=path,
            fix=f"compile with one of: {', '.join(each.name for each in DTYPES if each.gguf)}",
        )


def _add_facts(writer: Any, gguf: Any, model: Model) -> None:
    shape = model.shape
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_block_count(shape.n_layer)
    writer.add_context_length(shape.n_positions)
    writer.add_embedding_length(shape.n_embd)
    writer.add_feed_forward_length(shape.n_inner[0])
    writer.add_head_count(shape.n_head)
    writer.add_layer_norm_eps(model.architecture.norm_epsilon)
    writer.add_file_type(int(gguf.LlamaFileType[dtype_named(model.dtype.name).gguf]))


def _add_tokenizer(writer: Any, gguf: Any, vocabulary: Vocabulary, n_vocab: int) -> None:
    kinds = gguf.TokenType
    names = dict(zip(vocabulary.numbers, vocabulary.tokens, strict=True))
    padding = max((number for number in range(n_vocab) if number not in names), default=None)
    tokens, types = [], []
    for number in range(n_vocab):
        if number in names:
            tokens.append(_in_bytes(names[number]) if vocabulary.is_characters else names[number])
            types.append(int(kinds.NORMAL if vocabulary.is_characters else kinds.USER_DEFINED))
        else:
            name = PADDING[0] if number == padding else f"<unused{number}>"
            tokens.append(_unlike(name, vocabulary))
            types.append(int(kinds.CONTROL if number == padding else kinds.UNUSED))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(_merges(vocabulary) or [NO_MERGE])
    if padding is not None:
        writer.add_bos_token_id(padding)
        writer.add_eos_token_id(padding)
        writer.add_pad_token_id(padding)
    elif n_vocab > DEFAULT_END:
        warnings.warn(
            HandcraftWarning(
                f"llama.cpp will end a text at the token {names[DEFAULT_END]!r}: it takes the id "
                f"{DEFAULT_END} for the end where no id is free to be one"
            ),
            stacklevel=3,
        )
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _unlike(name: str, vocabulary: Vocabulary) -> str:
    """A name that no token has."""
    while name in vocabulary:
        name += "_"
    return name


def _merges(vocabulary: Vocabulary) -> list[str]:
    """The merges that make every character of several bytes one token, byte after byte.

    The left piece of each begins with the first byte of a character and the right one is a later byte,
    so that no two characters are ever merged. Words need no merges.
    """
    if not vocabulary.is_characters:
        return []
    merges: dict[str, None] = {}  # in order
    for token in map(_in_bytes, vocabulary.tokens):
        for length in range(1, len(token)):
            merges[f"{token[:length]} {token[length]}"] = None
    return list(merges)


def _in_bytes(text: str) -> str:
    """Text as GPT-2's tokenizer writes it: one printable character for each byte of its UTF-8."""
    return "".join(_byte_letters()[byte] for byte in text.encode())


def _byte_letters() -> list[str]:
    """Printable bytes are written as themselves; the others are numbered from 256 on."""
    prints = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)}
    others = (byte for byte in range(256) if byte not in prints)
    moved = {byte: 256 + place for place, byte in enumerate(others)}
    return [chr(moved.get(byte, byte)) for byte in range(256)]


@dataclass(frozen=True)
class _Stored:
    """A tensor as the file stores it.

    Args:
        name: in llama.cpp.
        source: its name in the model.
        shape: as NumPy counts axes; the file lists them the other way round.
        dtype: its type; norms, biases and positions are always float32.
        is_turned: whether the model stores it transposed.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    dtype: DType
    is_turned: bool

    def read(self, model: Model) -> np.ndarray[Any, Any]:
        """Its numbers in order, bfloat16 in the guise of a type that NumPy itself has."""
        values = model.tensors[self.source].astype(self.dtype.numpy, copy=False)
        ordered = np.ascontiguousarray(values.T if self.is_turned else values)
        return ordered if self.dtype.is_in_numpy else ordered.view(np.uint16)


def _stored_tensors(model: Model) -> list[_Stored]:
    """Every tensor of the file, in order; none is read yet."""
    found, own = [], dtype_named(model.dtype.name)
    for source, sizes in model.shape.tensors(model.architecture).items():
        part, _, kind = source.rpartition(".")
        prefix = ""
        if part.startswith("h."):
            _, layer, part = part.split(".", 2)
            prefix = f"blk.{layer}."
        is_turned = len(sizes) == 2 and bool(prefix)  # embeddings and the head are rows already
        dtype = FLOAT32 if len(sizes) == 1 or part == "wpe" else own
        shape = sizes[::-1] if is_turned else sizes
        found.append(_Stored(f"{prefix}{NAMES[part]}.{kind}", source, shape, dtype, is_turned))
    return found
