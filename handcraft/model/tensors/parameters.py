"""Where the parameters of a model are: embeddings, attention, MLP, norms, head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from handcraft.architecture import Architecture
from handcraft.model.tensors.shape import Shape


@dataclass(frozen=True)
class PartCount:
    """The parameters of one kind of part.

    Args:
        part: its name.
        parameters: all parts of this kind together.
        how: what they are the product or the sum of, in words.
    """

    part: str
    parameters: int
    how: str = ""


@dataclass(frozen=True)
class PartCounts:
    """The parameters of a model by part; they sum to `total`."""

    parts: tuple[PartCount, ...]

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(part.parameters for part in self.parts)

    def __str__(self) -> str:
        rows = (*self.parts, PartCount("in all", self.total))
        left = max(len(row.part) for row in rows)
        right = max(len(f"{row.parameters:,}") for row in rows)
        return "\n".join(
            f"{row.part:<{left}}  {row.parameters:>{right},}  {row.how}".rstrip() for row in rows
        )


def parameters_by_part(shape: Shape, architecture: Architecture) -> PartCounts:
    """Count the parameters of a model of some sizes, part by part.

    A tied head is the token embedding and counts once.

    >>> from handcraft.architecture import GPT2
    >>> print(parameters_by_part(Shape(3, 5, 8, 2, (32,)), GPT2))
    token embedding      24  3 tokens x 8; also the head
    position embedding   40  5 positions x 8
    attention           288  1 block of 288
    MLP                 552  1 block of 552
    LayerNorm            48  3 of 16
    in all              952
    """
    counts: dict[str, dict[str, int]] = {}  # for each kind the tensors of each layer together
    for name, axes in shape.tensors(architecture).items():
        layer, kind = _part_of(name)
        of = counts.setdefault(kind, {})
        of[layer] = of.get(layer, 0) + prod(axes)

    def of_kind(kind: str) -> list[int]:
        return list(counts.get(kind, {}).values())

    d, tokens = shape.n_embd, f"{shape.n_vocab:,} tokens x {shape.n_embd:,}"
    tied = "; also the head" if architecture.tied else ""
    norm = "RMSNorm" if architecture.norm == "rms" else "LayerNorm"
    parts = (
        PartCount("token embedding", sum(of_kind("embedding")), tokens + tied),
        PartCount(
            "position embedding", sum(of_kind("positions")), f"{shape.n_positions:,} positions x {d:,}"
        ),
        _layers("attention", of_kind("attention"), "block"),
        _layers("MLP", of_kind("mlp"), "block"),
        _layers(norm, of_kind("norm"), ""),
        PartCount("head", sum(of_kind("head")), tokens),
    )
    return PartCounts(tuple(part for part in parts if part.parameters))


def _part_of(tensor: str) -> tuple[str, str]:
    """The layer that a tensor is in, and what kind of layer that is.

    >>> _part_of("h.0.attn.c_proj.bias"), _part_of("layers.1.post_attention_layernorm.weight")
    (('h.0.attn', 'attention'), ('layers.1.post_attention_layernorm', 'norm'))
    """
    path = tensor.split(".")[:-1]
    kinds = {"wte": "embedding", "embed_tokens": "embedding", "wpe": "positions", "lm_head": "head"}
    kinds |= {"attn": "attention", "self_attn": "attention", "mlp": "mlp"}
    at = min(2, len(path) - 1)
    return ".".join(path[: at + 1]), kinds.get(path[at], "norm")


def _layers(part: str, counts: Sequence[int], noun: str) -> PartCount:
    """The parameters of all layers of a kind, and of each where they are equally large."""
    nouns = f" {noun}{'' if len(counts) == 1 else 's'}" if noun else ""
    each = f" of {counts[0]:,}" if len(set(counts)) == 1 else ""
    return PartCount(part, sum(counts), f"{len(counts):,}{nouns}{each}")
