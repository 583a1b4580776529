"""The plan of a model, before any weight is placed: layout, layers, norms, sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.display import short_repr
from handcraft.errors import CompileError, LayoutError
from handcraft.model import Shape
from handcraft.phrase import phrase, setting
from handcraft.vocabulary import Vocabulary
from handcraft.weights.layers import Layer, SpreadError, build_layers
from handcraft.weights.layout import Layout, Sizes, allocate_layout
from handcraft.weights.norms import NormInput, is_level, level_fill, needs_ballast, norm_inputs

if TYPE_CHECKING:
    from handcraft.weights.rotary.plan_rotary import Rotary

PADDING = ("<pad>", "[PAD]", "\u2400")
"""Names for the token with a zero embedding that GPT-2 vocabularies end in, so that batches can be
padded."""


@short_repr
@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that is decided before weights are placed.

    It has no norms where the target has none.

    Args:
        circuits: the circuits.
        architecture: what it is planned for.
        layout: the dimensions of every subspace.
        layers: the blocks of the model.
        norms: their norms in order.
        rotary: of a rotary model, its heads and their scores.
    """

    circuits: Circuits
    architecture: Architecture
    layout: Layout
    layers: tuple[Layer, ...]
    norms: tuple[NormInput, ...]
    rotary: Rotary | None = None

    @property
    def has_norm(self) -> bool:
        """Whether the target has norms, and with them all that GPT-2 or Llama has."""
        return self.architecture.has_norm

    @property
    def token_names(self) -> tuple[str, ...]:
        """The rows of the token embedding."""
        circuits = self.circuits
        if circuits.begin is not None or not self.has_norm:
            return circuits.embedded_tokens
        return (*circuits.vocabulary.tokens, padding_name(circuits.vocabulary))

    @property
    def shape(self) -> Shape:
        """The sizes of the model."""
        if self.rotary is not None:
            packing = self.rotary.packing
            units = (len(layer.units) + bool(layer.mlp_bias) for layer in self.layers)
            return Shape(
                len(self.token_names),
                self.circuits.context + 1,
                self.layout.n_embd,
                packing.n_head,
                (max(1, *units),) * len(self.layers),
                packing.n_kv_head,
                packing.head_dim,
            )
        if self.has_norm:
            n_inner = (4 * self.layout.n_embd,) * len(self.layers)
        else:
            n_inner = tuple(max(len(layer.units), 1) if layer.has_mlp else 0 for layer in self.layers)
        return Shape(
            n_vocab=len(self.token_names),
            n_positions=self.circuits.context,
            n_embd=self.layout.n_embd,
            n_head=self.layout.n_head,
            n_inner=n_inner,
        )


def padding_name(vocabulary: Vocabulary) -> str:
    """The first name that no text over the vocabulary has in it."""
    return vocabulary.unspelled(PADDING)


def plan_model(
    circuits: Circuits,
    architecture: Architecture,
    sizes: Sizes = Sizes(),  # noqa: B008 - frozen
    *,
    dtype: str = "float32",
) -> Plan:
    """Decide layout and layers; with LayerNorm, add ballast if a length is not constant.

    Args:
        circuits: the circuits.
        architecture: what to plan for.
        sizes: what is asked of the width and the heads.
        dtype: of the weights, on which the heads of a rotary model depend.

    Raises:
        LayoutError: the circuits do not fit the requested sizes.
        PrecisionError: in a rotary model, the dtype does not tell distances apart.
    """
    _check_head(circuits, architecture)
    if circuits.causal is not architecture.causal:
        raise CompileError(
            f"the circuits are {_masked(circuits.causal)}, and {architecture.name} is "
            f"{_masked(architecture.causal)}",
            where=circuits.place,
            fix="compile for the architecture whose mask they were made for",
        )
    if sizes.n_kv_head is not None and not architecture.is_rotary:
        raise LayoutError(
            f"in {architecture.name} every head has keys and values of its own",
            where=circuits.place,
            fix=phrase("leave out ", setting("n_kv_head", sizes.n_kv_head), ", or compile for llama"),
        )
    if architecture.is_rotary:
        return _plan_rotary(circuits, architecture, sizes, dtype)
    try:
        plan = _plan(circuits, architecture, sizes, has_ballast=False)
    except LayoutError as error:
        if architecture.has_norm and not isinstance(error, SpreadError):
            free = _plan(circuits, architecture, Sizes(), has_ballast=False)
            if needs_ballast(free.norms):  # then the fix counts it too
                return _plan(circuits, architecture, sizes, has_ballast=True)
        raise
    if plan.has_norm and needs_ballast(plan.norms):
        return _plan(circuits, architecture, sizes, has_ballast=True)
    if is_level(plan.norms):
        return _filled(plan, sizes)
    return plan


def _plan_rotary(circuits: Circuits, architecture: Architecture, sizes: Sizes, dtype: str) -> Plan:
    """The plan of a Llama.

    Raises:
        CompileError: positions are embedded, or there is no begin token.
    """
    from handcraft.weights.rotary.plan_rotary import plan_heads, plan_stream

    embedded = next((t.subspace for t in circuits.embedding if t.of == "position"), None)
    if embedded is not None or circuits.begin is None:
        reason = "and needs a begin token" if embedded is None else f"but the circuits do: `{embedded}`"
        raise CompileError(
            f"{architecture.name} embeds no positions, {reason}",
            where=circuits.place,
            fix="compile for gpt2, or let heads attend by distance and name a begin token",
        )
    stream = plan_stream(circuits, architecture, sizes)
    rotary = plan_heads(circuits, architecture, stream, sizes, dtype)
    packing = rotary.packing
    layout = replace(stream.layout, n_head=packing.n_head, own_head_dim=packing.head_dim)
    return Plan(circuits, architecture, layout, stream.layers, stream.norms, rotary)


def _filled(plan: Plan, sizes: Sizes) -> Plan:
    """The plan with constants in spare dimensions, so that norms divide by a power of two if they can.

    A stream of odd width always lacks an odd number, which no pairs of dimensions make up.
    """
    layout = plan.layout
    if sizes == Sizes() and layout.n_embd % 2:
        even = Sizes(n_embd=layout.n_embd + layout.n_head, n_head=layout.n_head)
        return _filled(_plan(plan.circuits, plan.architecture, even, has_ballast=False), even)
    norm = next(norm for norm in plan.norms if norm.is_read)
    layout = replace(layout, fill=level_fill(norm, layout))
    return replace(plan, layout=layout, norms=norm_inputs(plan.circuits, layout, plan.layers))


def _check_head(circuits: Circuits, architecture: Architecture) -> None:
    """Raise if a tied unembedding would read other subspaces too: without ln_f it reads all of wte."""
    if circuits.unembedding is None:
        return
    others = [t.subspace for t in circuits.embedding if t.of == "token"]
    others = [subspace for subspace in others if subspace != circuits.unembedding]
    if not architecture.has_norm and others:
        raise CompileError(
            f"the token is also embedded in `{others[0]}`, and in {architecture.name} the unembedding "
            "would read that too",
            where=circuits.place,
            fix=f"read `{circuits.unembedding}` instead, or compile for gpt2",
        )


def _masked(causal: bool) -> str:
    return "causal" if causal else "not causal"


def _plan(circuits: Circuits, architecture: Architecture, sizes: Sizes, *, has_ballast: bool) -> Plan:
    layout = allocate_layout(circuits, architecture, sizes, has_ballast=has_ballast)
    layers = build_layers(circuits, architecture, 4 * layout.n_embd if architecture.has_norm else None)
    norms = norm_inputs(circuits, layout, layers) if architecture.has_norm else ()
    return Plan(circuits, architecture, layout, layers, norms)
