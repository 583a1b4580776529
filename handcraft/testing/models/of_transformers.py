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
    """

    options: ClassVar[Mapping[str, Any]] = {"use_cache": False}

    name: str = "the transformers model"

    def empty_run(self, texts: int) -> PastKeyValues:
        """A run of so many texts, whose keys and values are kept in a `DynamicCache`."""
        from transformers import DynamicCache

        return PastKeyValues(self.module, DynamicCache(config=self.module.config))


@dataclass
class PastKeyValues:
    """Texts that a model of transformers reads piece by piece.

    Args:
        module: the model.
        cache: its `past_key_values`.
    """

    module: Any
    cache: Any

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
        if removed := self.cache.get_seq_length() - length:
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
