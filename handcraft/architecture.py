"""The facts of an architecture that decide how circuits become weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, sqrt
from typing import Literal

from handcraft.errors import ArchitectureError

Norm = Literal["none", "layer", "rms"]
Activation = Literal["relu", "gelu_tanh", "gelu_erf", "silu"]


@dataclass(frozen=True)
class Architecture:
    """What a target computes, apart from its sizes.

    Args:
        name: its name on the command line.
        norm: before attention, MLP and unembedding: ``none``, ``layer`` for LayerNorm, ``rms`` for
            RMSNorm, which subtracts no mean (Zhang and Sennrich 2019).
        norm_epsilon: what a norm adds to the variance, or to the mean square.
        activation: the function between the two matrices of an MLP; ``silu`` stands for SwiGLU, where
            it gates a second linear function of the input (Shazeer 2020, section 2).
        tied: whether the unembedding is the transpose of the token embedding.
        causal: whether a position sees only itself and earlier ones; see `without_mask`.
        scales_scores: whether scores are multiplied by 1/sqrt(head_dim).
        scales_by_layer: whether scores are also divided by the number of the block, from 1.
        theta: the base of the frequencies by which queries and keys are rotated (Su et al. 2021,
            section 3.4.2); None where positions are embedded. A model that rotates has no biases, and
            its texts start with a begin token.
        window: how many positions a position sees, itself among them; None for all earlier ones.
    """

    name: str
    norm: Norm = "none"
    norm_epsilon: float = 1e-5
    activation: Activation = "relu"
    tied: bool = True
    causal: bool = True
    scales_scores: bool = True
    scales_by_layer: bool = False
    theta: float | None = None
    window: int | None = None

    @property
    def has_norm(self) -> bool:
        """Whether a norm scales what blocks read."""
        return self.norm != "none"

    @property
    def is_mirrored(self) -> bool:
        """Whether values are stored as x and -x, so that the mean that LayerNorm subtracts is 0."""
        return self.norm == "layer"

    @property
    def is_rotary(self) -> bool:
        """Whether queries and keys are rotated by their positions, as in Llama."""
        return self.theta is not None

    @property
    def is_gated(self) -> bool:
        """Whether a hidden unit is the product of an activation and a second linear function."""
        return self.activation == "silu"

    @property
    def unlike_gpt2(self) -> list[str]:
        """How it differs from the published GPT-2; its unembedding is not considered."""
        facts = {
            "the model has no LayerNorm": self.norm != "layer",
            "it rotates queries and keys by position": self.is_rotary,
            f"its activation is {self.activation}, not gelu_tanh": self.activation != "gelu_tanh",
            "its attention is not causal": not self.causal,
            "its scores are not scaled by 1/sqrt(head_dim)": not self.scales_scores
            or self.scales_by_layer,
        }
        return [difference for difference, holds in facts.items() if holds]

    @property
    def unlike_llama(self) -> list[str]:
        """How it differs from the published Llama; window and unembedding are not considered."""
        facts = {
            "the model has no RMSNorm": self.norm != "rms",
            "it embeds positions": not self.is_rotary,
            f"its activation is {self.activation}, not silu": not self.is_gated,
            "its attention is not causal": not self.causal,
            "its scores are not scaled by 1/sqrt(head_dim)": not self.scales_scores
            or self.scales_by_layer,
        }
        return [difference for difference, holds in facts.items() if holds]

    def score_scale(self, head_dim: int, layer: int = 0) -> float:
        """The factor of the product of query and key (Vaswani et al. 2017, section 3.2.1).

        `layer` is the number of the block, from 0.
        """
        scale = 1.0 / sqrt(head_dim) if self.scales_scores else 1.0
        return scale / (layer + 1) if self.scales_by_layer else scale

    def without_mask(self) -> Architecture:
        """The same, but every position sees all others. It keeps the name of the causal one.

        Only our own forward pass, ONNX, safetensors and npz support it: all other readers of GPT-2 mask
        later positions.

        >>> BLOCK.without_mask().causal
        False
        """
        return replace(self, causal=False)


BLOCK = Architecture(name="block")
"""The bare block: residual stream, causal attention, ReLU MLPs where needed, a tied head."""

GPT2 = Architecture(name="gpt2", norm="layer", activation="gelu_tanh")
"""Hugging Face's `GPT2LMHeadModel` as it stands: ln_1, ln_2, ln_f, gelu_new, biases, a tied head."""

LLAMA = Architecture(name="llama", norm="rms", norm_epsilon=1e-6, activation="silu", theta=10_000.0)
"""Hugging Face's `LlamaForCausalLM` as it stands: RMSNorm, RoPE, SwiGLU, no biases; the head is tied
unless it is asked for."""


def llama(
    *,
    theta: float = 10_000.0,
    epsilon: float = 1e-6,
    tied: bool = True,
    window: int | None = None,
) -> Architecture:
    """A Llama with other facts than `LLAMA`.

    Args:
        theta: the base of the frequencies by which queries and keys are rotated.
        epsilon: what RMSNorm adds to the mean square.
        tied: whether the unembedding is the transpose of the token embedding.
        window: how many positions a position sees, itself among them, as in Mistral; None for all.

    Raises:
        ArchitectureError: a number makes no model.

    >>> llama(theta=500_000.0).theta
    500000.0
    """
    if not (isfinite(theta) and theta > 1):
        raise ArchitectureError(f"theta={theta}", fix="use a number above 1, such as 10000")
    if not 0 < epsilon < 0.5:
        raise ArchitectureError(
            f"epsilon={epsilon}", fix="use a number between 0 and 0.5, such as 1e-6"
        )
    if window is not None and window < 1:
        raise ArchitectureError(f"window={window}", fix="let a position see at least itself")
    return replace(LLAMA, theta=float(theta), norm_epsilon=epsilon, tied=tied, window=window)


ARCHITECTURES = (BLOCK, GPT2, LLAMA)


def architecture_named(name: str) -> Architecture:
    """The named architecture."""
    for architecture in ARCHITECTURES:
        if architecture.name == name:
            return architecture
    known = ", ".join(architecture.name for architecture in ARCHITECTURES)
    raise ArchitectureError(f"there is no architecture {name!r}", fix=f"known are: {known}")
