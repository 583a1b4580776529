"""A model of the package transformers as a model under test, with its cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from handcraft.display import short_repr
from handcraft.errors import CheckpointError
from handcraft.formats.foreign_files import find_file, read_object
from handcraft.formats.huggingface.tokenizer import TOKENIZER
from handcraft.testing.models.answering import Ids
from handcraft.testing.models.of_torch import OfTorch, answering, logits_in, to_numpy


@short_repr
@dataclass(frozen=True)
class OfTransformers(OfTorch):
    """A causal language model of transformers under test: a torch module that can keep a cache.

    Args:
        module: a `PreTrainedModel` that returns logits.
        vocabulary: its tokens.
        positions: the most tokens that it reads; None if that is not known.
        name: how messages call it.
        begin: the id of a token that is put before every text, as tokenizers of Llamas do; its logits
            are left out. None if texts are read as they are.
    """

    options: ClassVar[Mapping[str, Any]] = {"use_cache": False}

    name: str = "the transformers model"
    begin: int | None = None

    def logits(self, ids: Ids) -> Any:
        """[text, position] -> [text, position, n_vocab]."""
        if self.begin is None:
            return super().logits(ids)
        found = super().logits(np.pad(ids, ((0, 0), (1, 0)), constant_values=self.begin))
        return found[:, 1:] if getattr(found, "ndim", 0) == 3 else found  # else the check names it

    def empty_run(self, texts: int) -> PastKeyValues:
        """A run of so many texts, whose keys and values are kept in a `DynamicCache`."""
        from transformers import DynamicCache

        run = PastKeyValues(self.module, DynamicCache(config=self.module.config))
        if self.begin is not None:
            run.extend(np.full((texts, 1), self.begin, dtype=np.int64))
            run.lead = 1
        return run


@dataclass
class PastKeyValues:
    """Texts that a model of transformers reads piece by piece.

    Args:
        module: the model.
        cache: its `past_key_values`.
        lead: how many tokens were read before each text; they are never forgotten.
    """

    module: Any
    cache: Any
    lead: int = 0

    def extend(self, ids: Ids) -> Any:
        """[text, new position] -> [text, new position, n_vocab]."""
        taken = signature(self.module.forward).parameters
        given = {
            "cache" if "cache" in taken else "past_key_values": self.cache
        }  # as it was called before
        with answering(self.module) as as_tensor:
            return to_numpy(logits_in(self.module(as_tensor(ids), use_cache=True, **given)))

    def truncate(self, length: int) -> None:
        """Forget all but the first tokens."""
        if removed := self.cache.get_seq_length() - self.lead - length:
            self.cache.crop(-removed)

    def pick(self, texts: Ids) -> None:
        """Keep some of the texts."""
        import torch

        if self.cache.get_seq_length():
            self.cache.batch_select_indices(torch.as_tensor(np.ascontiguousarray(texts)))


def positions_in(module: Any) -> int | None:
    """The positions that the configuration of a model states; None if it states none."""
    found = getattr(getattr(module, "config", None), "max_position_embeddings", None)
    return found if isinstance(found, int) else None


def begin_in(folder: Path) -> int | None:
    """The id of the token that tokenizer.json puts before every text, and nothing else; else None.

    Raises:
        CheckpointError: tokenizer.json is damaged.
    """
    path = find_file(folder, TOKENIZER)
    post = None if path is None else read_object(path).get("post_processor")
    match post:
        case {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": str(name)}}, {"Sequence": {"id": "A"}}],
            "special_tokens": dict(known),
        }:
            match known.get(name):
                case {"ids": [int(number)]}:
                    return number
    return None


def read_folder(folder: Path) -> Any:
    """The causal language model in a folder, read by transformers; nothing in it is run as code.

    Raises:
        CheckpointError: transformers is not installed, or cannot read it.
    """
    try:
        from transformers import AutoModelForCausalLM
    except ImportError:
        raise CheckpointError(
            "this is not a GPT-2, and transformers, which may read it, is not installed",
            where=folder,
            fix="pip install transformers torch",
        ) from None
    try:
        return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"transformers cannot read it: {error}", where=folder, fix="save it by `save_pretrained`"
        ) from error
