"""What is made for GPT-2 alone says so, before it looks for tensors that a Llama does not have."""

from __future__ import annotations

from handcraft.errors import ModelError
from handcraft.model.model import Model
from handcraft.phrase import phrase, setting


def check_gpt2(model: Model, what: str) -> None:
    """Raise unless a model embeds positions, as GPT-2 does.

    Args:
        model: the model.
        what: what is made for GPT-2, in words that begin a sentence.

    Raises:
        ModelError: the model is a Llama.
    """
    if model.architecture.is_rotary:
        raise ModelError(
            f"{what} for GPT-2, and not yet for Llama",
            fix=phrase("compile the program for GPT-2, as with ", setting("architecture", "gpt2")),
        )
