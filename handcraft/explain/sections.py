"""An explanation as sections of lines and tables: what every format shows, in the same order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import TypeAlias

from handcraft.explain.explanation import Explanation, Look, Part, Source
from handcraft.language.graph.domain import Value, json_value, show_value
from handcraft.language.graph.labels import distinct
from handcraft.language.judged import Outcome
from handcraft.origin import Origin

RULES = 8
"""How many rules, and how many neurons, are shown."""

VALUES = 24
"""How many values are shown: those that the rules read by name, and then the others."""

LABELS = (28, 40, 60, 90, 150, 400)
"""How many characters of a value are shown beside its values: the fewest that tell it from others."""

FEW = 6
"""How many positions leave room for longer labels."""

POSITIONS = 16
"""At how many positions values are shown: the last ones."""

LOOKS = 8
"""From how many positions it is shown where one head attends: the last ones."""

SOURCES = 4
"""How many sources of one position are shown."""

PARTS = 12
"""How many parts of a sum are shown by themselves: those that decide most between the best tokens."""

TOKENS = 3
"""How many tokens have a column of their own: those with the highest logits."""

NOTHING = "."
"""What is shown for 0 in a table of sums."""

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The names of the columns, the rows, and whether each column after the first is a position."""

    columns: Row
    rows: tuple[Row, ...]
    by_position: bool = False


@dataclass(frozen=True)
class More:
    """What a table leaves out, as the line below it."""

    text: str


Content: TypeAlias = str | Table | More
"""A paragraph, a table, or what the table before it leaves out."""


@dataclass(frozen=True)
class Section:
    """A heading, and what is below it."""

    title: str
    content: tuple[Content, ...]


def sections(explanation: Explanation) -> Iterator[Section]:
    """The sections of an explanation, without those that have nothing to say."""
    yield Section("Prediction", tuple(_prediction(explanation)))
    if explanation.rules:
        yield Section("Rules", tuple(_rules(explanation.rules)))
    if explanation.values:
        yield Section("Values", tuple(_values(explanation)))
    if explanation.heads:
        yield Section("Heads", tuple(_heads(explanation)))
    if explanation.neurons:
        yield Section("Neurons that fire at the last position", tuple(_neurons(explanation)))
    if explanation.parts:
        yield Section("What adds up to the logits", tuple(_sums(explanation)))
    if explanation.notes:
        yield Section("Notes", explanation.notes)


def _prediction(of: Explanation) -> Iterator[str]:
    yield f"prompt: {_text(of)}"
    if of.answer is None:
        yield "the model computes values, and predicts no token"
        return
    over = "" if of.runner_up is None else f", {number(of.margin or 0)} above {token(of.runner_up)}"
    yield f"answer: {token(of.answer)}{over}"
    if of.meant is not None:
        same = "as the model answers" if of.meant == of.answer else "NOT what the model answers"
        yield f"the program means: {token(of.meant)}, {same}"


def _text(of: Explanation) -> str:
    """The prompt as it can be given again."""
    return " ".join(map(token, of.tokens)) if of.separator else token("".join(of.tokens))


def _rules(rules: Sequence[Outcome]) -> Iterator[Content]:
    near = [rule for rule in rules if rule.state in ("fires", "nearly", "comes later")]
    near.sort(key=lambda rule: (rule.state != "fires", rule.number))
    shown = [*near[:RULES], *[rule for rule in rules if rule not in near][: max(0, RULES - len(near))]]
    rows = tuple(
        (rule.state, f"{rule.number}. {rule.origin.what}", _conditions(rule), place(rule.origin))
        for rule in shown
    )
    yield Table(("", "rule", "because", "where"), rows)
    if len(rules) > len(shown):
        yield More(f"and {_counted(len(rules) - len(shown), 'more rule')}")


def _conditions(rule: Outcome) -> str:
    """What does not hold; of a rule that matches, what does."""
    if rule.predicts is None:
        return "after no prompt" if rule.state == "never" else ""
    if not rule.conditions:
        return "always matches"
    missing = [each for each in rule.conditions if not each.holds]
    shown = missing or rule.conditions
    texts = []
    for each in shown:
        said = {f"{name} == {show_value(read)}" for name, read in each.reads.items()}
        is_said = each.text in said  # its text says what it reads
        reads = {} if is_said else {n: read for n, read in each.reads.items() if n != each.text}
        texts.append(f"{each.text}{f' ({named(reads)})' if reads else ''}")
    return f"{'not: ' if missing else ''}{'; '.join(texts)}"


def _values(of: Explanation) -> Iterator[Content]:
    first = max(0, len(of.tokens) - POSITIONS)
    columns = (f"{i} {token(each)}" for i, each in enumerate(of.tokens) if i >= first)
    read = {name for rule in of.rules for each in rule.conditions for name in (each.text, *each.reads)}
    order = sorted(of.values, key=lambda each: each.origin.what not in read)[:VALUES]
    shown = [each for each in of.values if each in order]
    widths = LABELS if len(of.tokens) > FEW else LABELS[1:]
    labels = distinct((each.origin.what for each in shown), widths=widths)
    rows = tuple((labels[each.origin.what], *map(value, each.values[first:])) for each in shown)
    yield Table(("", *columns), rows, by_position=True)
    if len(of.values) > len(shown):
        yield More(f"and {_counted(len(of.values) - len(shown), 'more value')}")
    if first:
        yield More(f"and at {_counted(first, 'earlier position')}")
    defined = [each for each in shown if each.definition is not None]
    if defined:
        rows = tuple((e.origin.what, str(e.definition), place(e.origin)) for e in defined)
        yield Table(("name", "is", "where"), rows)


def _heads(of: Explanation) -> Iterator[Content]:
    known = {each.origin.what for each in of.values}
    for head in of.heads:
        name = next((each.what for each in head.serves if each.what in known), head.name)
        attends = f", where {head.attends}" if head.attends not in ("", "everything") else ""
        reads = f" reads {name}" if name != f"head {head.head}" else ""
        yield f"block {head.block}, head {head.head}{reads}{attends}{_where(head.serves)}"
        used = [look for look in head.looks if look.is_used]
        if not used:
            yield "the answer does not depend on it"
            continue
        rows = tuple(map(_look, used[-LOOKS:]))
        has_reason = any(because for *_, because in rows)
        columns = ("at", "attends to", "because")[: 3 if has_reason else 2]
        yield Table(columns, tuple(row[: len(columns)] for row in rows))
        if len(used) > LOOKS:
            yield More(f"and from {_counted(len(used) - LOOKS, 'earlier position')}")


def _look(look: Look) -> Row:
    shown = look.sources[:SOURCES]
    texts = [f"{_at(each)} ({number(each.weight)})" for each in shown]
    hidden = len(look.sources) - len(shown) + look.others
    because = []
    if look.queries:
        because.append(f"here {named(look.queries)}")
    keys = list(dict.fromkeys(named(each.keys) for each in shown if each.keys))
    if keys:
        because.append(f"there {' or '.join(keys)}")
    if look.is_empty:
        because = ["nothing matches"]
    more = f", and {hidden} more" if hidden else ""
    return _at(look), ", ".join(texts) + more, "; ".join(because)


def _at(place: Look | Source) -> str:
    """A position and its token; the begin token has no number in the text."""
    shown = token(place.token)
    return shown if place.position < 0 else f"{place.position} {shown}"


def _neurons(of: Explanation) -> Iterator[Content]:
    written = [each for each in of.neurons if any(origin.place for origin in each.serves)]
    known = written or list(of.neurons)
    rows = tuple(
        (
            each.name,
            f"block {each.block}, {'units' if len(each.units) > 1 else 'unit'} "
            f"{', '.join(map(str, each.units))}",
            number(each.pre_activation),
            " ".join(dict.fromkeys(place(origin) for origin in each.serves if origin.place)),
        )
        for each in known[:RULES]
    )
    yield Table(("neuron", "hidden units", "sum", "where"), rows)
    if len(known) > len(rows):
        yield More(f"and {len(known) - len(rows)} more")
    if len(of.neurons) > len(known):
        added = len(of.neurons) - len(known)
        yield More(f"and {added} more that the compiler added, to clear dimensions")


def _sums(of: Explanation) -> Iterator[Content]:
    order = sorted(range(len(of.answers)), key=lambda k: -of.logits[k])[:TOKENS]
    columns = [token(of.answers[k]) for k in order]
    has_margin = len(order) > 1
    margin = f"{columns[0]} - {columns[1]}" if has_margin else ""

    def row(name: str, logits: Sequence[float]) -> Row:
        cells = [_cell(logits[k]) for k in order]
        return (
            (name, *cells, _cell(logits[order[0]] - logits[order[1]])) if has_margin else (name, *cells)
        )

    def decides(logits: Sequence[float]) -> float:
        return abs(logits[order[0]] - logits[order[1]]) if has_margin else abs(logits[order[0]])

    head = ("", *columns, *([margin] if has_margin else []))
    parts = sorted(of.parts, key=lambda part: (part.kind == "rounding", -decides(part.logits)))
    rows = [row(_part(part), part.logits) for part in parts[:PARTS]]
    if rest := parts[PARTS:]:
        total = [fsum(part.logits[k] for part in rest) for k in range(len(of.answers))]
        rows.append(row(_counted(len(rest), "more part"), total))
    yield Table(head, (*rows, row("the logits", of.logits)))
    serving = [share for share in of.shares if share.serves]
    if serving:
        serving.sort(key=lambda share: -decides(share.logits))
        yield "the same sums, by what the parts serve:"
        others = [share.logits for share in of.shares if not share.serves]
        rows = [
            row("; ".join(f"{o.what}{_where((o,))}" for o in share.serves), share.logits)
            for share in serving[:PARTS]
        ]
        if rest_shares := serving[PARTS:]:
            others += [share.logits for share in rest_shares]
        if others:
            total = [fsum(each[k] for each in others) for k in range(len(of.answers))]
            rows.append(row("all else", total))
        yield Table(head, tuple(rows))
    if of.scale is not None:
        by = "ln_f divides each part by the standard deviation"
        if of.norm == "rms":
            by = "the last norm divides each part by the root mean square of the stream"
        yield (
            f"{by} on this prompt: times "
            f"{number(of.scale)}; rounding moves a logit by at most {number(max(of.bound))}"
        )


def _part(part: Part) -> str:
    if part.kind in ("embedding", "position"):
        return f"embedding of {part.name}"
    if part.kind == "rounding":
        return "rounding"
    where = "" if part.block is None else f", block {part.block}"
    kind = {"head": "head ", "neuron": "neuron "}.get(part.kind, "")
    if part.name in (f"head {part.index}", f"unit {part.index}"):  # it has no other name
        kind = ""
    known = f" ({_few(part.serves)})" if part.kind == "bias" and part.serves else ""
    name = part.name if part.name != "ln_f" else "bias of ln_f"
    return f"{kind}{name}{known}{where}"


def _few(origins: Sequence[Origin]) -> str:
    return "; ".join(origin.what for origin in origins)


def _where(origins: Sequence[Origin]) -> str:
    places = list(dict.fromkeys(place(origin) for origin in origins if origin.place))
    return f" ({', '.join(places)})" if places else ""


def place(origin: Origin) -> str:
    """The file and the line, without folders; "" where it was not written by the author."""
    if origin.place is None:
        return ""
    return origin.place.short.rpartition(":")[0]


def token(text: str) -> str:
    """A token that can be seen."""
    return text if text.isprintable() and text.strip() == text != "" else repr(text)


def value(value: Value) -> str:
    """A value in a cell."""
    shown = json_value(value)
    if isinstance(shown, bool):
        return "yes" if shown else "no"
    return token(shown) if isinstance(shown, str) else f"{shown:g}"


def named(values: Mapping[str, Value]) -> str:
    """Values with their names."""
    return ", ".join(f"{name} = {value(each)}" for name, each in values.items())


def number(size: float) -> str:
    """A number of the model, to four digits."""
    return f"{size:.4g}"


def _counted(count: int, noun: str) -> str:
    """A count with its noun.

    >>> _counted(1, "more part"), _counted(1200, "more part")
    ('1 more part', '1,200 more parts')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _cell(size: float) -> str:
    return number(size) if size else NOTHING
