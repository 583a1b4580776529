"""The picture of a program: its values in the order of the source, and the rules that read them.

What is drawn is the token and the position, every value that the author named, every value that a head
fetches from other positions, and the rules. Steps between them are in the texts of these. What one
expression made in a loop is one box: rules always, values in a large program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import groupby

from handcraft.draw.canvas.lanes import Lane, Part, draw_listing
from handcraft.draw.canvas.scene import Picture, Scene
from handcraft.draw.graphs.label import some, visible
from handcraft.draw.kinds.alike import TOGETHER, Alike, Box, boxes_of, source_line
from handcraft.errors import DrawError
from handcraft.language import Program
from handcraft.language.graph.node import (
    Aggregate,
    Comparison,
    Constant,
    Embedded,
    Match,
    Node,
    Sources,
    walk,
)
from handcraft.language.meaning import Meaning, MeantRule
from handcraft.origin import Place
from handcraft.phrase import phrase, setting
from handcraft.vocabulary import shorten

MOST_RULES = 60
"""Up to so many rules have a box each."""

MOST_ALONE = 30
"""Up to so many values have a box each, also those that one expression made in a loop."""

MOST_VALUES = 150
"""Up to so many values have a box each: more are no picture to follow."""

_ABOUT = (
    "One box a value, in the order of the source. Yellow: fetched from other positions by a head, "
    "which compares K there with Q here and moves V. Green: computed at each position by itself."
)

_LOOPS = "What one line made in a loop is one box; the finest detail draws each by itself."


def program_picture(
    program: Program,
    *,
    rule: int | str | None = None,
    title: str = "Program",
    is_expanded: bool = False,
) -> Picture:
    """The values and the rules of a program as a graph, in the order of its source.

    Args:
        program: what to draw.
        rule: draw only this rule, by its number from 1 or its text, and what it reads.
        title: the text above.
        is_expanded: rules and values that one expression made have a box each; so they have where one
            rule is drawn.

    Raises:
        DrawError: there is no such rule, it never fires, or there are too many values.
    """
    return meaning_picture(
        program.meant, rule=rule, title=title, where=program.place, is_expanded=is_expanded
    )


def meaning_picture(
    meaning: Meaning,
    *,
    rule: int | str | None = None,
    title: str = "Program",
    where: object = None,
    is_expanded: bool = False,
) -> Picture:
    """The values and the rules, or the values behind expressions, in the order of their source.

    Args:
        meaning: what to draw.
        rule: draw only this rule, by its number from 1 or its text, and what it reads.
        title: the text above.
        where: the program, for errors.
        is_expanded: as in `program_picture`.

    Raises:
        DrawError: there is no such rule, it never fires, or there are too many values.
    """
    known = [each for each in meaning.rules if rule is None or rule in (each.number, each.origin.what)]
    if not known and (rule is not None or not meaning.outputs):
        raise DrawError(
            f"there is no rule {rule!r} that can fire",
            where=where,
            fix=f"give a number from 1 to {len(meaning.written)}, or the text of a rule"
            if meaning.written
            else "leave out the rule: these are expressions without rules",
        )
    is_expanded = is_expanded or rule is not None
    runs = [[each] for each in known] if is_expanded else _runs(known)
    drawn = runs[:MOST_RULES]
    roots = [node for run in drawn for each in run for node in each.nodes]
    roots += meaning.outputs.values()
    graph = _Graph(roots, meaning.tokens, meaning.context, is_expanded=is_expanded)
    parts = graph.parts()
    parts += [graph.rule(run[0]) if len(run) == 1 else graph.rules(run) for run in drawn]
    parts += [
        Part("output", f"output: {name}", reads=dict.fromkeys(graph.read_by([node]), ""))
        for name, node in meaning.outputs.items()
    ]
    if left := sum(len(run) for run in runs[MOST_RULES:]):
        parts.append(Part("output", f"and {left:,} more rules"))
    return _picture(title, parts, graph.names, graph.is_grouped or len(runs) < len(known))


def _runs(rules: Sequence[MeantRule]) -> list[list[MeantRule]]:
    """The rules in order: several together where one expression made them, else one at a time."""
    runs: list[list[MeantRule]] = []
    for place, made in groupby(rules, key=lambda each: each.origin.place):
        run = list(made)
        runs += [run] if place is not None and len(run) >= TOGETHER else [[each] for each in run]
    return runs


def _picture(title: str, parts: Sequence[Part], names: Mapping[Lane, str], is_grouped: bool) -> Picture:
    if len(parts) > MOST_VALUES:
        raise DrawError(
            f"the program has {len(parts):,} values and rules; the limit of a picture is {MOST_VALUES}",
            fix=phrase("draw what one rule reads, as with ", setting("rule", 1)),
        )
    scene = Scene(title, f"{_ABOUT} {_LOOPS}" if is_grouped else _ABOUT)
    draw_listing(scene, parts, names)
    return scene.picture()


class _Graph:
    """The values that have a box, and what each of them reads."""

    def __init__(
        self, roots: Sequence[Node], tokens: Sequence[str], context: int, *, is_expanded: bool
    ) -> None:
        order = list(walk(*roots))
        steps = {
            child for node in order for child in node.children if node.text.parts == child.text.parts
        }  # of sum(...) or reduce(...), every partial sum has the name of the whole
        shown = [node for node in order if _is_shown(node) and node not in steps]
        self._box: dict[Node, Box] = {node: node for node in shown}
        if len(shown) > MOST_ALONE and not is_expanded:
            self._box = boxes_of({node: self._values_read(node.children) for node in shown})
        self._shown = self._in_order(list(dict.fromkeys(self._box.values())))
        self._inputs = {
            "token": shorten([visible(token) for token in tokens], most=8),
            "position": f"0 to {context - 1}",
        }
        self.names: dict[Lane, str] = {box: _name(box) for box in self._shown}

    @property
    def is_grouped(self) -> bool:
        """Whether some values are in one box."""
        return any(isinstance(box, Alike) for box in self._shown)

    def _in_order(self, shown: Sequence[Box]) -> list[Box]:
        """The boxes in the order of their lines, but each after those that it is computed from."""
        needs = {box: set(self.read_by(_children(box))) for box in shown}
        readers: dict[Box, list[Box]] = {}
        for node, read in needs.items():
            for each in read:
                readers.setdefault(each, []).append(node)
        numbers = {node: i for i, node in enumerate(shown)}
        ready = [(_priority(node, i), i) for node, i in numbers.items() if not needs[node]]
        heapify(ready)
        found = []
        while ready:
            _, i = heappop(ready)
            found.append(shown[i])
            for reader in readers.get(shown[i], ()):
                needs[reader].discard(shown[i])
                if not needs[reader]:
                    heappush(ready, (_priority(reader, numbers[reader]), numbers[reader]))
        return found

    def parts(self) -> list[Part]:
        """The boxes of all values."""
        return [
            self._together(box) if isinstance(box, Alike) else self._part(box) for box in self._shown
        ]

    def rule(self, rule: MeantRule) -> Part:
        """The box of a rule."""
        title = f"rule {rule.number}: {rule.origin.what}"
        reads: dict[Lane, str] = dict.fromkeys(self.read_by(rule.nodes), "")
        return Part("output", title, reads=reads, place=_line(rule.origin.place))

    def rules(self, run: Sequence[MeantRule]) -> Part:
        """The box of rules that one expression made."""
        first, last = run[0], run[-1]
        place = first.origin.place
        details = [
            source_line(place),
            f"the first, rule {first.number}: {first.origin.what}",
            f"the last, rule {last.number}: {last.origin.what}",
        ]
        read = self.read_by(node for rule in run for node in rule.nodes)
        title = f"{len(run)} rules, {first.number} to {last.number}"
        reads: dict[Lane, str] = dict.fromkeys(read, "")
        return Part("output", title, [*filter(None, details)], reads, place=_line(place))

    def _together(self, box: Alike) -> Part:
        """The box of values that one expression made."""
        first, last = box.members[0], box.members[-1]
        single = self._part(first)
        details = [
            source_line(first.place),
            f"the first: {single.title}",
            *single.details,
            f"the last: {last.text.defined}",
        ]
        title = f"{len(box.members)} {'heads' if single.kind == 'head' else 'values'}"
        reads: dict[Lane, str] = {}
        for member in box.members:
            for lane, mark in self._part(member).reads.items():
                reads[lane] = "".join(dict.fromkeys(reads.get(lane, "") + mark))
        return Part(single.kind, title, [*filter(None, details)], reads, [box], single.place)

    def read_by(self, nodes: Iterable[Node]) -> list[Box]:
        """The boxes of the values that some nodes are computed from, or are."""
        return list(dict.fromkeys(self._box[node] for node in self._values_read(nodes)))

    def _values_read(self, nodes: Iterable[Node]) -> list[Node]:
        """The values with a box that some nodes are computed from, or are."""
        found: dict[Node, None] = {}
        seen: set[Node] = set()
        stack = list(nodes)[::-1]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in self._box:
                found[node] = None
            else:
                stack += node.children[::-1]
        return list(found)

    def _part(self, node: Node) -> Part:
        if isinstance(node, Embedded):
            return Part("input", f"input: {node}", [self._inputs[node.of]], writes=[node])
        title, line = node.text.defined, _line(node.place)
        if isinstance(node, Aggregate):
            return Part("head", title, [_attends(node)], self._marks(node), [node], line)
        values = [f"values: {node.domain}"]
        reads: dict[Lane, str] = dict.fromkeys(self.read_by(node.children), "")
        return Part("neurons", title, values, reads, [node], line)

    def _marks(self, node: Aggregate) -> dict[Lane, str]:
        marks: dict[Lane, str] = {}
        matches = [match for case in node.sources.cases for match in case]
        value = [] if node.value is None else [node.value]
        for letter, nodes in (
            ("Q", [match.query for match in matches]),
            ("K", [match.key for match in matches]),
            ("V", value),
        ):
            for read in self.read_by(nodes):
                marks[read] = marks.get(read, "") + letter
        return marks


def _name(box: Box) -> str:
    """What the lane of a box is called."""
    if isinstance(box, Alike):
        return f"{box.members[0]} and {len(box.members) - 1} more"
    return str(box)


def _children(box: Box) -> list[Node]:
    members = box.members if isinstance(box, Alike) else [box]
    return [child for member in members for child in member.children]


def _priority(box: Box, number: int) -> tuple[int, int]:
    """Inputs come first, then the lines decide, and among equal ones what is computed first."""
    node = box.members[0] if isinstance(box, Alike) else box
    if isinstance(node, Embedded):
        return (-1, ("token", "position").index(node.of))
    return (0 if node.place is None else node.place.line, number)


def _is_shown(node: Node) -> bool:
    return isinstance(node, Embedded | Aggregate) or node.text.definition is not None


def _attends(node: Aggregate) -> str:
    """Where the head of an aggregate attends, and what it takes from there."""
    where = _where(node.sources)
    does = {
        "mean": f"attends to all positions{where}; moves {node.value}",
        "latest": f"attends to the latest position{where}; moves {node.value}",
        "earliest": f"attends to the earliest position{where}; moves {node.value}",
        "count": f"counts the positions{where}",
        "exists": f"whether there is a position{where}",
    }[node.how]
    given = (
        "" if node.default is None or node.how in ("count", "exists") else f", {node.default} if none"
    )
    return does + given


def _where(sources: Sources) -> str:
    """Which positions are selected, as a condition on K there and Q here; nothing where all are."""
    cases = [" and ".join(map(_condition, case)) for case in sources.cases]
    return f" where {' or '.join(some(cases, 2))}" if all(cases) else ""


def _condition(match: Match) -> str:
    if isinstance(match.query, Constant) and match.relation is Comparison.EQ:
        wanted = match.query.value
        return str(match.key) if wanted is True else f"{match.key} == {match.query}"
    # a constant is the same at every position: the condition is about the key alone
    query = f"{match.query}" if isinstance(match.query, Constant) else f"{match.query} here"
    if isinstance(match.relation, Comparison):
        return f"{match.key} {match.relation.value} {query}"
    return f"{match.key} fits {query}"


def _line(place: Place | None) -> str:
    """Where something was written, where a file has that line."""
    return f"line {place.line}" if place is not None and source_line(place) else ""
