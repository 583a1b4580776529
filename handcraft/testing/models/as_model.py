"""Make a model under test of anything that answers with logits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from handcraft.compiler import Compiled, compile_program
from handcraft.errors import ModelError, VocabularyError
from handcraft.formats import Checkpoint, is_checkpoint, load, read_checkpoint
from handcraft.formats.foreign_files import check_folder, find_file, read_object
from handcraft.formats.huggingface.config_json import CONFIG
from handcraft.formats.huggingface.llama_json import LLAMAS
from handcraft.formats.huggingface.tokenizer import read_vocabulary
from handcraft.formats.read_raschka import is_raschka
from handcraft.language import Program, Prompts
from handcraft.model import Model
from handcraft.testing.models.answering import Answering
from handcraft.testing.models.of_function import OfFunction, Reads
from handcraft.testing.models.of_handcraft import OfHandcraft
from handcraft.testing.models.of_torch import OfTorch
from handcraft.testing.models.of_transformers import OfTransformers, begin_in, positions_in, read_folder
from handcraft.testing.models.of_weights import edited, of_weights
from handcraft.vocabulary import Vocabulary

Tokens: TypeAlias = Vocabulary | str | Iterable[str] | Mapping[str, int]
"""The tokens of a model: as a `Vocabulary`, what makes one, or the id of each token."""


def as_model(
    thing: object,
    *,
    vocabulary: Tokens | None = None,
    positions: int | None = None,
    reads: Reads = "ids",
    like: Model | Compiled | None = None,
    heads: int = 1,
    begin: int | None = None,
    name: str | None = None,
) -> Answering:
    """A model under test, made of anything that answers with logits.

    Args:
        thing: a `Model`, `Compiled` or `Checkpoint`; a `Program`, which is compiled; a folder that
            handcraft or Hugging Face wrote; a model of transformers; a torch module from ids to logits;
            a dictionary of weights as NumPy arrays; a function from one text to logits; or anything
            that is `Answering` already.
        vocabulary: its tokens, if the thing does not state them: text as for `Vocabulary`, or a
            dictionary from tokens to their ids. If it does, other names for its tokens.
        positions: the most tokens of a text, if the thing does not state it.
        reads: for a function: whether it takes a list of ids, a list of tokens, or a text.
        like: for weights: the model of which they replace some.
        heads: for weights without `like`: the heads of each block.
        begin: for a model of transformers: the id of a token that is put before every text, as
            tokenizers of Llamas do. Of a folder it is read from tokenizer.json.
        name: how messages call it.

    Raises:
        VocabularyError: nothing says which tokens it has.
        ModelError: the thing cannot answer with logits, computes values in place of logits, or its
            weights do not make a model.
        CheckpointError: the folder cannot be read.
    """
    if isinstance(thing, Answering):
        return thing
    known = None if vocabulary is None else as_vocabulary(vocabulary)
    if isinstance(thing, Program):
        thing = compile_program(thing)
    prompts = None
    if isinstance(thing, str | os.PathLike):
        folder, name = Path(thing), name or os.fspath(thing)
        read = _of_folder(folder)
        if not isinstance(read, Model | Checkpoint):
            known = known or read_vocabulary(folder, read.config.vocab_size)
            begin = begin_in(folder) if begin is None else begin
        thing = read
    if isinstance(thing, Checkpoint) and thing.values is not None:
        raise ModelError(
            "the model computes values and predicts no tokens, so it has no logits to compare",
            where=name,
            fix="give a model of rules; `handcraft verify` compares the values of this one",
        )
    if isinstance(thing, Compiled | Checkpoint):
        prompts, thing = prompts_of(thing), thing.model
    if isinstance(thing, Mapping):
        if like is not None:
            thing = edited(like.model if isinstance(like, Compiled) else like, thing)
        else:
            thing = of_weights(thing, _needed(known, "the weights do"), heads)
    if isinstance(thing, Model):
        return OfHandcraft(_renamed(thing, known), name or "the model", prompts)
    if _is_of(thing, "transformers.modeling_utils", "PreTrainedModel"):
        stated = positions_in(thing)
        most = positions or (stated if begin is None or stated is None else stated - 1)
        tokens = _needed(known, "a model of transformers does")
        return OfTransformers(thing, tokens, most, name or type(thing).__name__, begin)
    if _is_of(thing, "torch.nn", "Module"):
        tokens = _needed(known, "a torch module does")
        return OfTorch(thing, tokens, positions, name or type(thing).__name__)
    if callable(thing) and not isinstance(thing, type):
        tokens = _needed(known, "a function does")
        return OfFunction(thing, tokens, reads, positions, name or _name_of(thing))
    raise ModelError(
        f"{_kind_of(thing)} gives no logits, so it cannot be tested as a model",
        fix="give a model of handcraft, transformers or torch, a folder, weights as a dictionary, or a "
        "function from ids to logits",
    )


def is_model(thing: object) -> bool:
    """Whether something can be tested as a model, and cannot say what another model should answer."""
    if isinstance(thing, str | os.PathLike):
        return Path(thing).is_dir()
    return isinstance(thing, Model | Compiled | Checkpoint | Mapping | Answering) or _is_of(
        thing, "torch.nn", "Module"
    )


def prompts_of(compiled: Compiled | Checkpoint) -> Prompts:
    """The prompts that a model was compiled for; what only its Python code says is left out."""
    if isinstance(compiled, Checkpoint):
        known = compiled.prompts(as_far_as_known=True)
        if known is not None:
            return known
    source = compiled.source
    if isinstance(source, Program):
        return source.prompts
    return Prompts(source.vocabulary.tokens, source.context, causal=source.causal)


def as_vocabulary(tokens: Tokens) -> Vocabulary:
    """A vocabulary of what makes one, or of the id of each token."""
    if isinstance(tokens, Vocabulary):
        return tokens
    if isinstance(tokens, Mapping):
        return Vocabulary(tokens, ids=tokens.values())
    return Vocabulary(tokens)


def _needed(known: Vocabulary | None, what: str) -> Vocabulary:
    if known is None:
        raise VocabularyError(
            f"{what} not say which tokens it has",
            fix='give vocabulary="ab" with its tokens in the order of their ids, or {"a": 0, "b": 1}',
        )
    return known


def _renamed(model: Model, known: Vocabulary | None) -> Model:
    """A model whose tokens have other names, where those are given."""
    if known is None or known == model.vocabulary:
        return model
    beyond = [number for number in known.numbers if number >= model.shape.n_vocab]
    if beyond:
        raise VocabularyError(
            f"the token {known.token(beyond[0])!r} has the id {beyond[0]}, and the model has "
            f"{model.shape.n_vocab} tokens",
            fix=f"use ids from 0 to {model.shape.n_vocab - 1}",
        )
    return replace(model, vocabulary=known)


def _of_folder(folder: Path) -> Any:
    """What a folder contains: our model, a GPT-2, or what transformers reads."""
    check_folder(folder, "save_pretrained")
    config = find_file(folder, CONFIG)
    if is_checkpoint(folder):
        return read_checkpoint(folder)
    if config is None or is_raschka(folder):
        return load(folder)
    return load(folder) if _is_read_here(read_object(config)) else read_folder(folder)


def _is_read_here(config: Mapping[str, Any]) -> bool:
    """Whether a folder can be read without transformers: a GPT-2, or a Llama as we write them."""
    family, begin = config.get("model_type", "gpt2"), config.get("bos_token_id")
    is_ours = type(begin) is int and begin + 1 == config.get("vocab_size")
    return family == "gpt2" or (family in LLAMAS and is_ours)


def _is_of(thing: object, module: str, name: str) -> bool:
    """Whether a thing is of a class whose package is imported: if it is not, nothing is of it."""
    home: Any = sys.modules.get(module)
    return home is not None and isinstance(thing, getattr(home, name))


def _name_of(function: Callable[..., object]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _kind_of(thing: object) -> str:
    """What kind of thing it is, in words."""
    return f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
