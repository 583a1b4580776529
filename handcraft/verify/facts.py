"""The facts on which the correctness of a compiled GPT-2 relies, measured on its finished tensors.

A static gain undoes LayerNorm, so the mean must be 0 and the sum of squares as planned, or within what
is planned. Attention is hard, so the best score must lead by a gap that softmax rounds to 0. GELU is
used as a threshold, so every pre-activation must be far from 0. float16 ends at 65504, so no number may
be larger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from handcraft.circuits import Circuits
from handcraft.compiler import Compiled, compile_program
from handcraft.compiler.advice import try_later
from handcraft.compiler.features.overflow import largest_score
from handcraft.compiler.features.precision import TIE
from handcraft.display import short_repr
from handcraft.dtype import dtype_named
from handcraft.errors import PrecisionError, raise_all
from handcraft.language import Program
from handcraft.model.layers.attention import Array, Flags
from handcraft.verify.report import Measured
from handcraft.verify.texts.allowed import drawn_texts, is_restricted
from handcraft.verify.texts.batch import Ids
from handcraft.verify.texts.contexts import count_contexts, every_text
from handcraft.verify.texts.written_part import following_in, written_from
from handcraft.weights.layers import NEAREST_TO_ZERO

NORM_TOLERANCE = 1e-3
"""By what part of it the scale of a norm that is read may be off. A quarter of a unit decides a neuron,
and no neuron sums more than some tens of units."""

MEAN_TOLERANCE = 1e-5
"""How far from 0, in parts of the standard deviation, a mean may be."""

AGAIN = "compile it again: these are not the weights that the compiler makes"
"""The fix if nothing is wrong with the program and its options."""

EVERY_UP_TO = 4096
"""Up to so many texts of the program's length, all of them are run."""

SAMPLE = 256
"""Otherwise so many random ones are."""


@short_repr
@dataclass
class Facts:
    """The worst value of each fact that was measured.

    Args:
        mean: for each LayerNorm, the largest mean of its input, in standard deviations.
        sum_of_squares: for each LayerNorm, the smallest and the largest sum of squares of its input.
        gap: for each head, the smallest difference between the best score and the next, in nats.
        distance: for each MLP with units, the smallest distance of a pre-activation from 0.
        largest: for each intermediate, its largest absolute number. Of scores, before scaling, those
            that must be finite: of each destination the best, and all that are positive.
        texts: how many texts were run.
        is_all: whether those are all texts of the program; if not, nothing is proved for the others.
    """

    mean: dict[str, float] = field(default_factory=dict)
    sum_of_squares: dict[str, tuple[float, float]] = field(default_factory=dict)
    gap: dict[str, float] = field(default_factory=dict)
    distance: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)
    texts: int = 0
    is_all: bool = False

    @property
    def measured(self) -> Measured:
        """On what they were measured."""
        return Measured(self.texts, self.is_all)


def measure_facts(compiled: Compiled) -> Facts:
    """Run the finished tensors and keep the worst value of every fact.

    All texts of the program's context length are run if there are few, else some random ones, and
    one random text that fills every position. Without a causal mask a prefix is not computed like the
    text itself, so every shorter length is run as well.
    """
    meter = _Meter(compiled)
    batches, meter.facts.is_all = _texts(compiled)
    for texts in batches:
        compiled.model.watch(texts, meter.see)
        meter.facts.texts += len(texts)
    return meter.facts


def check_facts(compiled: Compiled) -> Facts:
    """Raise unless the model satisfies the facts on which its correctness relies."""
    facts, problems = _checked(compiled)
    source, model = compiled.source, compiled.model
    options: dict[str, Any] = {"architecture": model.architecture, "dtype": model.dtype.name}
    if isinstance(source, Program) and source.has_only_patterns:
        options["n_positions"] = model.context

    def compile_once(source: Program | Circuits, **options: Any) -> None:
        raise_all(_checked(compile_program(source, **options))[1])

    try_later(problems, compile_once, source, options, AGAIN)
    raise_all(problems)
    return facts


def _checked(compiled: Compiled) -> tuple[Facts, list[PrecisionError]]:
    """The facts, and those that are violated."""
    facts = measure_facts(compiled)
    return facts, [*_norm_problems(compiled, facts), *_problems(compiled, facts)]


def _problems(compiled: Compiled, facts: Facts) -> Iterator[PrecisionError]:
    dtype = dtype_named(compiled.model.dtype.name)
    for number, layer in enumerate(compiled.plan.layers):
        for i, head in enumerate(layer.heads):
            gap = facts.gap.get(f"h.{number}.attn head {i}", inf)  # none where it writes nothing
            is_hard = head.sharpness is None and head.attends.is_hard
            if is_hard and gap < 0.99 * dtype.underflow:
                yield PrecisionError(
                    f"the attention score of the source that `{head.name}` selects is {gap:.1f} nats "
                    f"above the next one; hard attention in {dtype.name} needs {dtype.underflow}",
                    where=f"h.{number}.attn, head {i}",
                    fix="a shorter context",
                )
    for place, distance in facts.distance.items():
        least = NEAREST_TO_ZERO[compiled.model.architecture.activation]
        if distance < least:
            yield PrecisionError(
                f"a pre-activation comes within {distance:.2f} of 0, nearer than {least}",
                where=place,
                fix="use a wider dtype",
            )
    for place, largest in facts.largest.items():
        if dtype.overflows_first and largest > dtype.largest:
            yield PrecisionError(
                f"{place} is {largest:,.0f}, but the largest {dtype.name} is {dtype.largest:,}",
                where=place,
                fix="use bfloat16 or float32",
            )


def _norm_problems(compiled: Compiled, facts: Facts) -> Iterator[PrecisionError]:
    for norm in compiled.plan.norms:
        if not (norm.is_read or norm.least):
            continue
        planned = float(norm.sum_of_squares)
        low, high = facts.sum_of_squares[norm.name]
        least = planned if norm.least is None else float(norm.least)
        error = max(least - low, high - planned) / (2 * planned)
        if error > NORM_TOLERANCE:
            yield PrecisionError(
                f"{norm.name} has a sum of squares from {low:.6g} to {high:.6g}, and {planned:.6g} is "
                f"planned: its scale has an error of {error:.2%}",
                where=", ".join(f"`{s}`" for s in norm.varying) or norm.name,
                fix="write smaller numbers into subspaces that are read again later",
            )
        if compiled.layout.is_mirrored and facts.mean[norm.name] > MEAN_TOLERANCE:
            yield PrecisionError(
                f"{norm.name} has a mean of {facts.mean[norm.name]:.2g} standard deviations",
                where=norm.name,
                fix="use a wider dtype",
            )


def _texts(compiled: Compiled) -> tuple[list[Ids], bool]:
    """Batches of texts that show the facts, [text, position]; and whether there are no others."""
    source = compiled.source
    if isinstance(source, Program) and is_restricted(source.prompts):
        inputs = drawn_texts(source.prompts, SAMPLE, 0)
        written = written_from(source.prompts, inputs, following_in(source))
        return [each.texts for each in written], False
    model, longest = compiled.model, compiled.source.context
    size = len(model.vocabulary)
    random = np.random.default_rng(0)
    lengths = [longest] if model.architecture.causal else range(1, longest + 1)
    is_all = count_contexts(size, longest) <= EVERY_UP_TO
    if is_all:
        texts = [every_text(size, length) for length in lengths]
    else:
        rows = max(1, min(SAMPLE, (1 << 22) // longest**2) // len(lengths))
        texts = [random.integers(0, size, size=(rows, length)) for length in lengths]
    if model.context > longest:
        texts.append(random.integers(0, size, size=(1, model.context)))
        is_all = False
    return texts, is_all


def promised_positions(circuits: Circuits) -> Flags:
    """Whether something is promised of a position: not where a head states no weights for it."""
    lead = 0 if circuits.begin is None else 1  # the begin token
    promised = np.ones(lead + circuits.context, dtype=bool)
    for block in circuits.blocks:
        for head in block.heads:
            if head.attends.attention_weights is not None:
                promised &= np.array([bool(weights) for weights in head.attends.attention_weights])
    return promised


class _Meter:
    """Sees every intermediate of every run."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.facts = Facts()
        self.promised = promised_positions(compiled.circuits)
        blocks = range(len(compiled.plan.layers))
        states = [f"h.{i}.{state}" for i in blocks for state in ("after_attention", "output")]
        norms = [norm.name for norm in compiled.plan.norms]
        self.norm_after = dict(zip(["embedding", *states], norms, strict=False))

    def see(self, name: str, value: Array) -> None:
        """Take one intermediate into account."""
        facts = self.facts
        size = float(np.abs(value).max(initial=0))
        if name.endswith(".scores"):
            size = self._see_scores(name, value)
            number = int(name.split(".")[1])
            shape, architecture = self.compiled.model.shape, self.compiled.model.architecture
            size /= architecture.score_scale(shape.head_dim, number)
        elif name.endswith(".pre_activation"):
            units = len(self.compiled.plan.layers[int(name.split(".")[1])].units)
            if units:
                nearest = float(
                    np.abs(value[:, self.promised[: value.shape[1]], :units]).min(initial=inf)
                )
                facts.distance[name] = min(facts.distance.get(name, inf), nearest)
        if name in self.norm_after:
            self._see_norm(self.norm_after[name], value)
        facts.largest[name] = max(facts.largest.get(name, 0.0), size)

    def _see_norm(self, name: str, value: Array) -> None:
        exact = value.astype(np.float64)
        squares = np.square(exact).sum(axis=-1)
        deviations = np.sqrt(np.where(squares, squares, 1) / exact.shape[-1])  # a stream of 0 has none
        mean = float((np.abs(exact.mean(axis=-1)) / deviations).max())
        low, high = self.facts.sum_of_squares.get(name, (inf, -inf))
        self.facts.sum_of_squares[name] = (
            min(low, float(squares.min())),
            max(high, float(squares.max())),
        )
        self.facts.mean[name] = max(self.facts.mean.get(name, 0.0), mean)

    def _see_scores(self, name: str, value: Array) -> float:
        """The lead of the best visible score over the best that does not tie with it.

        Returns:
            The largest absolute score of those that must be finite. Another may be minus infinity.
        """
        place = name.removesuffix(".scores")
        number = int(name.split(".")[1])
        architecture = self.compiled.model.architecture
        visible = np.ones(value.shape[-2:], dtype=bool)
        if architecture.causal:
            visible = np.tril(visible)
        if architecture.window is not None:
            visible &= ~np.tril(visible, -architecture.window)
        largest = largest_score(value, causal=architecture.causal)
        for i, head in enumerate(self.compiled.plan.layers[number].heads):
            content, even = head.attends.content, float(TIE) / self.compiled.source.context
            if content is not None and content.picks == "any":
                # It does not matter which of several is found.
                even = dtype_named(self.compiled.model.dtype.name).underflow / 2
            behind = np.where(visible, value[:, i], -np.inf)
            best = behind.max(axis=-1, keepdims=True)
            behind[behind >= best - np.abs(best) * 1e-5 - even] = -np.inf  # it, and what ties with it
            lead = float((best - behind.max(axis=-1, keepdims=True)).min())
            key = f"{place} head {i}"
            self.facts.gap[key] = min(self.facts.gap.get(key, inf), lead)
        return largest
