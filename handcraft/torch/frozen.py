"""A parameter of which some numbers are frozen, whatever the optimizer does."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Frozen(nn.Module):
    """Gives a parameter with its frozen numbers in place, as `torch.nn.utils.parametrize` takes it.

    A frozen number has no gradient, and weight decay does not reach it: the parameter behind it may
    drift, but it is never read.

    Args:
        mask: true at frozen numbers.
        values: of the same shape; read where the mask is true.
        scale: a factor between what is trained and the numbers that the model reads elsewhere; of the
            same shape, or one that broadcasts to it.
    """

    mask: Tensor
    values: Tensor
    scale: Tensor

    def __init__(self, mask: Tensor, values: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.register_buffer("values", torch.where(mask, values, torch.zeros_like(values)))
        self.register_buffer("scale", scale)

    def forward(self, trained: Tensor) -> Tensor:
        """The parameter as the model reads it."""
        return torch.where(self.mask, self.values, trained * self.scale)


def freeze(module: nn.Module, name: str, frozen: Frozen) -> None:
    """Freeze some numbers of a module's parameter, which then is what is trained."""
    parametrize.register_parametrization(module, name, frozen, unsafe=False)
