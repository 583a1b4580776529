"""Lowers aggregates: counts, means, sums, and labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from handcraft.errors import DomainError
from handcraft.language.graph import attend, pointwise
from handcraft.language.graph.domain import Finite, Kind, Plain, Value, as_number, kind_of, show_value
from handcraft.language.graph.node import How, Node, Sources
from handcraft.language.graph.source_counts import SourceCounts, source_counts
from handcraft.language.graph.wording import reads
from handcraft.language.sequences import Prompts
from handcraft.limits import SUMMED_NUMBERS
from handcraft.rasp.aggregate import Aggregate
from handcraft.rasp.lowering.lowered import (
    Lowered,
    absent,
    all_present,
    as_numbers,
    check_listed,
    is_constant,
    is_label,
    is_never,
)
from handcraft.rasp.selector import Selector


@dataclass(frozen=True)
class Selected:
    """A selection, and what is known of it."""

    selector: Selector
    sources: Sources
    facts: SourceCounts
    prompts: Prompts

    @classmethod
    def of(cls, selector: Selector, sources: Sources, prompts: Prompts) -> Selected:
        """A selection, with what can be proved of it."""
        facts = source_counts(sources, prompts.context, prompts.causal)
        sources = replace(sources, always=sources.always or facts.always)
        return cls(selector, sources, facts, prompts)

    def read(self, how: How, value: Node | None, default: Value = None) -> Node:
        """An aggregate of the selected sources."""
        parts = [self.sources] if value is None else [self.sources, ", ", value]
        text = reads(f"{how}(", *parts, ")")
        given = attend.NONE if default is None else default
        node = attend.aggregate(self.sources, how, value, given, text, self.prompts.context)
        return node.called(text, self.selector.place)

    def holding(self, value: Node, wanted: Value) -> Selected:
        """The selected sources that have one value."""
        text = reads(value, f" == {show_value(wanted)}")
        there = attend.matching(value, pointwise.constant(wanted), "==", text)
        found = attend.intersection(self.sources, there)
        return replace(self, sources=replace(found, text=reads(self.sources, " where ", text)))

    @cached_property
    def existence(self) -> Node | None:
        """Whether any source is selected; None where one always is."""
        if self.sources.always:
            return None
        known = self.facts.exists
        if known is None:
            return self.read("exists", None)
        text = reads("exists(", self.sources, ")")
        node = pointwise.lookup(dict(enumerate(known)), (self.prompts.position.node,), text)
        return node.called(text, self.selector.place)


def lower_width(selected: Selected) -> Lowered:
    """How many positions are selected."""
    if not selected.sources.cases:
        return Lowered(pointwise.constant(0))
    return Lowered(selected.read("count", None))


def lower_aggregate(sop: Aggregate, selected: Selected, value: Lowered) -> Lowered:
    """The aggregate of the selected positions.

    Raises:
        DomainError: a sum of labels, or a default of another kind than the values.
    """
    exists = selected.existence
    if is_never(exists) or not selected.sources.cases:
        return absent() if sop.default is None else Lowered(pointwise.constant(sop.default))
    if is_never(value.present):  # nothing, or the default where none is selected
        if exists is None or sop.default is None:
            return absent()
        return Lowered(pointwise.constant(sop.default), pointwise.invert(exists))

    found = _read(sop, selected, value.value, exists)
    known = [] if sop.default is not None else [exists]
    if value.present is not None:
        if selected.facts.single:
            known.append(selected.read("latest", value.present, True))
        else:
            unknown = selected.holding(value.present, False)
            known.append(pointwise.invert(unknown.read("exists", None)))
    return Lowered(found, all_present(known))


def _read(sop: Aggregate, selected: Selected, value: Node, exists: Node | None) -> Node:
    """What the selected positions give; the default, or any such value, where nothing is selected."""
    if sop.how == "sum" and is_label(value):
        raise DomainError(
            f"`{sop.sop}` has labels ({value.domain}), which have no sum",
            where=sop.where,
            fix="turn them into numbers with Map",
        )
    labels = sop.how == "mean" and (is_label(value) or sop.is_categorical)
    one = selected.facts.single or labels  # all selected positions have the same value
    if (one or is_constant(value)) and not (
        sop.is_categorical and isinstance(sop.default, bool | None)
    ):
        value = as_numbers(value)
    default = None if exists is None else _default(sop, value)
    if is_constant(value) and (one or sop.how == "mean"):
        return _choice(exists, value, default)
    if one and (default is None or value.domain.kind is Kind.NUMBER or default in value.domain):
        return selected.read("latest", value, default)
    if one:
        return _choice(exists, selected.read("latest", value, _any_value(value)), default)
    if sop.how == "mean":
        return selected.read("mean", value, default)
    return _choice(exists if default else None, _sum(sop, selected, value), default)


def _default(sop: Aggregate, value: Node) -> Value:
    """The value where nothing is selected, of the same kind as what is read elsewhere."""
    default: Value = sop.default
    if default is None:
        return _any_value(value) if sop.is_categorical else _any_value(as_numbers(value))
    kind = value.domain.kind
    if kind is Kind.FLAG and not sop.is_categorical:
        kind = Kind.NUMBER  # a mean, or a sum, of flags
    if kind is Kind.NUMBER and isinstance(default, bool):
        default = int(default)
    if kind_of(default) is not kind:
        raise DomainError(
            f"the default {show_value(default)} is a {kind_of(default).value}, and `{sop.sop}` is a "
            f"{value.domain.kind.value}: {value.domain}",
            where=sop.where,
            fix="give a default of the same kind, or none",
        )
    return default


def _choice(exists: Node | None, found: Node, default: Value) -> Node:
    """What was read where anything is selected, else the default."""
    if exists is None:
        return found
    if isinstance(found.domain, Finite):
        return pointwise.lookup(
            lambda e, v: v if e else default, (exists, found), reads("read(", found, ")")
        )
    return pointwise.where(exists, found, pointwise.constant(default))


def _any_value(node: Node) -> Value:
    """One of its values: 0 where that is one."""
    domain = node.domain
    if domain.kind is Kind.NUMBER and domain.low <= 0 <= domain.high and 0 in domain:
        return 0
    return domain.values[0] if isinstance(domain, Finite) else domain.low


def _sum(sop: Aggregate, selected: Selected, value: Node) -> Node:
    """A sum of numbers: each number as often as it is there."""
    check_listed((value,), sop)
    numbers = pointwise.listed(value)
    if len(numbers) > SUMMED_NUMBERS.most:
        raise DomainError(
            f"a sum over {len(numbers)} values of `{sop.sop}`, more than {SUMMED_NUMBERS.most}: "
            f"{value.domain}",
            where=sop.where,
            fix="sum fewer different numbers, or multiply a mean by SelectorWidth",
        )
    terms: list[tuple[Plain, Node]] = []
    for number in numbers:
        if as_number(number):
            there = selected if is_constant(value) else selected.holding(value, number)
            terms.append((as_number(number), there.read("count", None)))
    if not terms:
        return pointwise.constant(0)
    return pointwise.linear(terms, 0, sop.text)
