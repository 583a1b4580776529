"""Whether a trained model still uses its compiled part, or gives its answers without it.

Each edge of the compiled part is patched: its reader sees what the source adds on another text. If the
model uses the edge, its predictions change. This is measured before and after training. An edge that
mattered before, and hardly matters after, was routed around.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from handcraft.display import count
from handcraft.errors import ModelError
from handcraft.ground_truth.circuit.edge_graph import Edge
from handcraft.ground_truth.circuit.patched import PatchedModel
from handcraft.model import Model
from handcraft.model.forward.checked_input import checked_ids
from handcraft.model.layers.attention import Array
from handcraft.progress import advance
from handcraft.weights.compiled_part import CompiledPart

if TYPE_CHECKING:
    from handcraft.torch.load_partial import Partial

Ids = npt.NDArray[np.int64]

MATTERS = 0.01
"""An edge matters if patching it changes predictions by so many nats on average."""

REMAINS = 0.1
"""An edge is routed around if patching it changes predictions by less than this share of before."""


@dataclass(frozen=True)
class Effect:
    """What patching an edge does.

    Args:
        divergence: the mean Kullback-Leibler divergence of the predictions from those without a patch,
            in nats; 0 where nothing changes.
        loss: by how much the mean loss rises, in nats a token; below 0 if the edge made it worse.
        answers: the share of positions at which the most likely token changes.
    """

    divergence: float
    loss: float
    answers: float

    @property
    def matters(self) -> bool:
        """Whether the model uses the edge."""
        return self.divergence > MATTERS


@dataclass(frozen=True)
class EdgeUse:
    """How much one edge of the compiled part matters.

    Args:
        edge: its name, such as ``a0.h0->a1.h0<k>``.
        before: what patching it did before training.
        after: what it does now.
    """

    edge: str
    before: Effect
    after: Effect

    @property
    def is_routed_around(self) -> bool:
        """Whether it mattered before training, and hardly does now."""
        return self.before.matters and self.after.divergence < REMAINS * self.before.divergence


@dataclass(frozen=True)
class StillUsed:
    """How much the edges of the compiled part matter, of those that mattered before training.

    Args:
        uses: the edges, with their effect before and after training.
        before: the loss before training, in nats a token.
        after: the loss now.
    """

    uses: tuple[EdgeUse, ...]
    before: float
    after: float

    @property
    def routed_around(self) -> tuple[str, ...]:
        """The names of the edges that mattered before training and hardly matter now."""
        return tuple(use.edge for use in self.uses if use.is_routed_around)

    def __str__(self) -> str:
        width = max([len("edge"), *(len(use.edge) for use in self.uses)])
        lines = [f"loss: {self.before:.3f} before training, {self.after:.3f} after"]
        lines.append(f"{'edge':{width}}  divergence where it is patched: before, after")
        for use in self.uses:
            mark = "  routed around" if use.is_routed_around else ""
            before, after = use.before.divergence, use.after.divergence
            lines.append(f"{use.edge:{width}}  {before:8.3f} {after:8.3f}{mark}")
        return "\n".join(lines)


def still_used(partial: Partial, texts: npt.ArrayLike | Sequence[str]) -> StillUsed:
    """Measure how much the edges of the compiled part matter, before training and now.

    Args:
        partial: the model.
        texts: at least two texts of the same length, as ids, [text, position], or as strings. In each,
            edges are patched with what the model computes on the next one.

    Raises:
        ModelError: there are fewer than two texts, or they have one token.
    """
    ids = checked_ids(partial.start, texts, 0)
    if min(ids.shape) < 2:
        raise ModelError(
            f"{count(ids.shape[0], 'text')} of {count(ids.shape[1], 'token')} cannot be patched and "
            "predicted",
            fix="give at least two texts of at least two tokens",
        )
    edges = [*compiled_edges(partial.part)]
    before = effects(partial.start, ids, edges)
    after = effects(partial.model, ids, edges)
    uses = [
        EdgeUse(e.name, one, other) for e, one, other in zip(edges, before[1], after[1], strict=True)
    ]
    return StillUsed(tuple(use for use in uses if use.before.matters), before[0], after[0])


def compiled_edges(part: CompiledPart) -> Iterator[Edge]:
    """The edges between nodes that contain something compiled."""
    graph = PatchedModel(part.model).graph
    for edge in graph.edges:
        source, reader = edge.source, edge.reader
        writes = source.kind == "input" or _has(part, source.layer, source.kind == "head", source.head)
        reads = reader.reads == "logits" or _has(part, reader.layer, reader.reads != "mlp", reader.head)
        if writes and reads:
            yield edge


def _has(part: CompiledPart, layer: int, is_head: bool, head: int) -> bool:
    return bool(part.heads[layer][head] if is_head else part.units[layer].any())


def effects(model: Model, ids: Ids, edges: Sequence[Edge]) -> tuple[float, list[Effect]]:
    """The loss on some texts, and what patching each edge does to it."""
    patched = PatchedModel(model)
    clean, corrupted = patched.run(ids), patched.run(np.roll(ids, -1, axis=0))
    loss, answers = mean_loss(clean.logits, ids), clean.logits.argmax(axis=-1)
    known = log_probabilities(clean.logits)
    found: list[Effect] = []
    for number, edge in enumerate(edges):
        advance("patch edges", number, len(edges))
        logits = patched.patched(clean, corrupted, [edge])
        divergence = (np.exp(known) * (known - log_probabilities(logits))).sum(axis=-1).mean()
        changed = (logits.argmax(axis=-1) != answers).mean()
        found.append(Effect(float(divergence), mean_loss(logits, ids) - loss, float(changed)))
    return loss, found


def log_probabilities(logits: Array) -> Array:
    """The logarithms of softmax, in float64: [..., vocabulary]."""
    given = logits.astype(np.float64)
    given -= given.max(axis=-1, keepdims=True)
    found: Array = given - np.log(np.exp(given).sum(axis=-1, keepdims=True))
    return found


def mean_loss(logits: Array, ids: Ids) -> float:
    """The mean cross entropy of the next token, in nats; the first token is not predicted."""
    known = log_probabilities(logits[:, :-1])  # [text, position, vocabulary]
    return -float(np.take_along_axis(known, ids[:, 1:, None], axis=-1).mean())
