"""A parameter of which some numbers stay frozen, whatever the optimizer does."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Frozen(nn.Module):
    """A parametrization (`torch.nn.utils.parametrize`) that puts frozen numbers into a parameter.

    A frozen number has no gradient, and weight decay does not change it. The optimizer may still change
    the parameter at its place, but the model never reads that.

    Args:
        mask: true at frozen numbers.
        values: the frozen numbers, in the shape of the mask; those where it is false are not used.
        scale: where the mask is false, the model reads the parameter times this factor; it has the same
            shape, or broadcasts to it.
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
    """Freeze some numbers of a module's parameter; the others can be trained."""
    parametrize.register_parametrization(module, name, frozen, unsafe=False)
