"""A Hugging Face repository of a GPT-2 or a Llama, written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handcraft.architecture import Architecture
from handcraft.compiler import Compiled
from handcraft.errors import CheckpointError
from handcraft.formats.folder import write_text
from handcraft.formats.huggingface.config_json import ACTIVATIONS
from handcraft.formats.huggingface.llama_json import llama_config
from handcraft.formats.huggingface.model_card import model_card
from handcraft.formats.huggingface.tokenizer import tokenizer_config, tokenizer_json
from handcraft.formats.tensors.safetensors_file import pending, prefix_of, write_safetensors
from handcraft.model import Model, Shape
from handcraft.phrase import either, phrase, setting
from handcraft.verify import Report
from handcraft.vocabulary import Vocabulary, begin_name
from handcraft.weights.plan import padding_name

Data = dict[str, Any]


def write_huggingface(compiled: Compiled, report: Report, folder: Path) -> None:
    """Write config, weights, tokenizer and model card into an empty folder.

    Raises:
        CheckpointError: no class of transformers computes what the model's architecture does.
    """
    write_model(compiled.model, folder)
    write_text(folder / "README.md", model_card(compiled, report))


def write_model(model: Model, folder: Path) -> None:
    """Write all that transformers reads into an empty folder: config, weights and tokenizer.

    Raises:
        CheckpointError: no class of transformers computes what the model's architecture does.
    """
    check_class(model.architecture)
    for name, data in json_files(model).items():
        write_json(folder / name, data)
    tensors = pending(model, prefix_of(model.architecture))
    write_safetensors(folder / "model.safetensors", tensors, METADATA)


def json_files(model: Model) -> dict[str, Data]:
    """The contents of each JSON file of a repository that transformers reads."""
    vocabulary, begin = model.vocabulary, model.begin_id
    padding = free_id(vocabulary, model.shape) if begin is None else begin
    name = special_name(model)
    ids = {**dict(zip(vocabulary.tokens, vocabulary.numbers, strict=True)), name: padding}
    begins, length = begin is not None, model.shape.n_positions
    return {
        "config.json": config(model, padding) if begin is None else llama_config(model),
        "generation_config.json": generation_config(padding if begin is None else None, begin),
        "tokenizer.json": tokenizer_json(vocabulary, ids, name, begins=begins),
        "tokenizer_config.json": tokenizer_config(length, name, begins=begins),
    }


def special_name(model: Model) -> str:
    """The name of the token that pads batches; in a Llama it is the begin token."""
    return padding_name(model.vocabulary) if model.begin_id is None else begin_name(model.vocabulary)


def free_id(vocabulary: Vocabulary, shape: Shape) -> int:
    """The highest id that no token has: the padding token's."""
    taken = frozenset(vocabulary.numbers)
    for number in reversed(range(shape.n_vocab)):
        if number not in taken:
            return number
    raise CheckpointError(
        f"all {shape.n_vocab} ids are taken, and one is needed for padding",
        fix="leave one id to padding",
    )


METADATA = {"format": "pt", "origin": "handcraft: compiled from rules, not trained"}
"""The metadata of the weight file; transformers requires the format."""


def check_class(architecture: Architecture) -> None:
    """Raise unless a class of transformers computes what the architecture does."""
    is_rotary = architecture.is_rotary
    name = "LlamaForCausalLM" if is_rotary else "GPT2LMHeadModel"
    if not architecture.has_norm:
        raise CheckpointError(
            f"the architecture {architecture.name} has no LayerNorm, and {name} always has",
            fix=phrase(
                "compile with ",
                setting("architecture", "gpt2"),
                ", or write ",
                either("format", ["safetensors", "npz"]),
            ),
        )
    others = ["safetensors", "npz"] if is_rotary else ["onnx", "safetensors", "npz"]
    if not architecture.causal:
        raise CheckpointError(
            f"the model attends to later positions, and {name} masks them",
            fix=phrase("write ", either("format", others)),
        )
    if is_rotary and architecture.unlike_llama:
        raise CheckpointError(
            f"the architecture {architecture.name} is not that of {name}: "
            f"{'; '.join(architecture.unlike_llama)}",
            fix=phrase("write ", either("format", others)),
        )


def config(model: Model, padding: int) -> Data:
    """config.json of a GPT-2; `padding` is the id of the padding token.

    A null bos and eos keep generation from stopping at token 0.
    """
    shape, architecture = model.shape, model.architecture
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": shape.n_vocab,
        "n_positions": shape.n_positions,
        "n_ctx": shape.n_positions,
        "n_embd": shape.n_embd,
        "n_layer": shape.n_layer,
        "n_head": shape.n_head,
        "n_inner": max(shape.n_inner),
        "activation_function": next(n for n, a in ACTIVATIONS.items() if a == architecture.activation),
        "layer_norm_epsilon": architecture.norm_epsilon,
        "scale_attn_weights": architecture.scales_scores,
        "scale_attn_by_inverse_layer_idx": architecture.scales_by_layer,
        "reorder_and_upcast_attn": False,
        "tie_word_embeddings": architecture.tied,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": padding,
        "use_cache": True,
        "dtype": model.dtype.name,
    }


def generation_config(padding: int | None, begin: int | None = None) -> Data:
    """generation_config.json: greedy, and no token ends a text.

    Args:
        padding: the id of a token that is in no text, which `generate` masks.
        begin: that of the begin token.
    """
    return {"bos_token_id": begin, "eos_token_id": None, "pad_token_id": padding, "use_cache": True}


def write_json(path: Path, data: Data) -> None:
    """Write JSON that a person can read."""
    text = json.dumps(data, ensure_ascii=False, indent=2)
    write_text(path, f"{text}\n")
