"""A selection being lowered, with what is proved about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from handcraft.language.graph import attend, pointwise
from handcraft.language.graph.domain import Value, show_value
from handcraft.language.graph.node import How, Node, Sources
from handcraft.language.graph.wording import reads
from handcraft.language.sequences import Prompts
from handcraft.rasp.lowering.selection_facts import Facts, facts_of
from handcraft.rasp.selector import Selector


@dataclass(frozen=True)
class Selected:
    """A selection, and what is known of it.

    Args:
        selector: where it comes from.
        sources: which sources are selected.
        facts: what is proved of it.
        prompts: the texts.
    """

    selector: Selector
    sources: Sources
    facts: Facts
    prompts: Prompts

    def learn(self, how: How, value: Node | None, default: Value = None) -> Node:
        """What the selected sources say together."""
        parts = [self.sources] if value is None else [self.sources, ", ", value]
        node = attend.aggregate(
            self.sources,
            how,
            value,
            default,
            reads(f"{how}(", *parts, ")"),
            self.prompts.context,
            default is not None,
        )
        return node.called(node.text, self.selector.place)

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
            return self.learn("exists", None)
        table = dict(enumerate(known))
        node = pointwise.lookup(
            table, (self.prompts.position.node,), reads("exists(", self.sources, ")")
        )
        return node.called(node.text, self.selector.place)


def selected_by(selector: Selector, sources: Sources, prompts: Prompts) -> Selected:
    """A selection, with what can be proved of it."""
    facts = facts_of(sources, prompts.context, prompts.causal)
    sources = replace(sources, always=sources.always or facts.always)
    return Selected(selector, sources, facts, prompts)
