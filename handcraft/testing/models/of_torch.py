"""A torch module as a model under test: one from ids to logits, or to an object that has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from handcraft.display import short_repr
from handcraft.testing.models.answering import Ids
from handcraft.vocabulary import Vocabulary


@short_repr
@dataclass(frozen=True)
class OfTorch:
    """A `torch.nn.Module` under test: ids, [text, position], to logits, [text, position, n_vocab].

    It is run without gradients and, for as long as it runs, in evaluation mode: dropout would make its
    answers random.

    Args:
        module: the module; of what it returns, `.logits` is taken, or the first item of a tuple.
        vocabulary: its tokens.
        positions: the most tokens of a text; None if that is not known.
        name: how messages call it.
    """

    options: ClassVar[Mapping[str, Any]] = {}
    """What the module is called with beside the ids."""

    module: Any
    vocabulary: Vocabulary
    positions: int | None = None
    name: str = "the torch module"

    def logits(self, ids: Ids) -> Any:
        """[text, position] -> [text, position, n_vocab]."""
        with answering(self.module) as as_tensor:
            return to_numpy(logits_in(self.module(as_tensor(ids), **self.options)))


@contextmanager
def answering(module: Any) -> Iterator[Any]:
    """A context in which a module answers as it will be used; it gives what makes tensors of ids."""
    import torch

    first = next(module.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    trained = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad():
            yield lambda ids: torch.as_tensor(np.ascontiguousarray(ids), device=device)
    finally:
        for part in trained:  # each by itself: some may have been in evaluation mode before
            part.training = True


def logits_in(returned: Any) -> Any:
    """The logits in what a module returns."""
    if hasattr(returned, "logits"):
        return returned.logits
    return returned[0] if isinstance(returned, tuple) and returned else returned


def to_numpy(tensor: Any) -> Any:
    """A tensor as an array; anything else as it is, for the check to name."""
    if not hasattr(tensor, "detach"):
        return tensor
    plain = tensor.detach().cpu()
    return (plain.float() if plain.is_floating_point() and plain.element_size() < 4 else plain).numpy()
