"""Sums over a text: what an answer comes to, as numbers of tokens elsewhere and steps along them.

A *form* is a constant, and numbers times *looks*, *own* numbers and *steps*. A look is a weighted sum
of a number of the token at other positions, which depend on the destination alone. An own number is one
of the destination's token. A step is 1 where another form reaches a threshold, and 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from handcraft.display import short_repr
from handcraft.language.graph.domain import Plain
from handcraft.origin import Origin

Weights: TypeAlias = "tuple[tuple[int, Plain], ...]"
"""Source positions in order, and what each of them counts."""


@dataclass(frozen=True)
class Look:
    """A weighted sum of a number of the token at other positions.

    Args:
        sources: for each destination in order, what counts there.
        numbers: for each token the number; None for one that never stands there.
        origins: the expressions that it serves.
    """

    sources: tuple[Weights, ...]
    numbers: tuple[Plain | None, ...]
    origins: tuple[Origin, ...] = field(compare=False)

    @property
    def total(self) -> Plain | None:
        """What all sources of a destination count together; None where that differs."""
        totals = {sum(weight for _, weight in sources) for sources in self.sources}
        return totals.pop() if len(totals) == 1 else None

    @property
    def is_positive(self) -> bool:
        """Whether no source counts less than nothing."""
        return all(weight > 0 for sources in self.sources for _, weight in sources)

    @property
    def is_single(self) -> bool:
        """Whether every destination has one source."""
        return all(len(sources) == 1 for sources in self.sources)

    def upright(self) -> tuple[Look, int]:
        """The same with sources that count more than nothing, and the sign that it lacks."""
        return (self, 1) if self.is_positive else (self.times(-1), -1)

    def is_here(self, destinations: tuple[int, ...]) -> bool:
        """Whether every destination looks at itself only."""
        return all(
            len(sources) == 1 and sources[0][0] == here
            for sources, here in zip(self.sources, destinations, strict=True)
        )

    def times(self, factor: Plain) -> Look:
        """The same, counting as much more."""
        counted = (tuple((s, w * factor) for s, w in sources) for sources in self.sources)
        return replace(self, sources=tuple(counted))

    def plus(self, other: Look) -> Look:
        """The sum of two looks for the same number, where each of them stands."""
        added = (_added([*mine, *its]) for mine, its in zip(self.sources, other.sources, strict=True))
        numbers = (
            its if mine is None else mine for mine, its in zip(self.numbers, other.numbers, strict=True)
        )
        origins = dict.fromkeys((*self.origins, *other.origins))
        return Look(tuple(added), tuple(numbers), tuple(origins))


@dataclass(frozen=True)
class Own:
    """The token here.

    Args:
        is_square: whether the second number of its codeword is meant, or its number along the line.
        origins: the expressions that it serves.
    """

    is_square: bool
    origins: tuple[Origin, ...] = field(compare=False)


@short_repr
@dataclass(frozen=True, eq=False)
class Step:
    """Whether a form means one number or more, where it never means one between two.

    Args:
        form: what is compared.
        below: the largest number that it means where the step is not taken.
        above: the smallest where it is.
        origin: the expression that it serves.
        text: what it is called.
        depth: how many steps come before it, one after the other.
    """

    form: Form
    below: Plain
    above: Plain
    origin: Origin
    text: str
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", self.form.depth)  # known of the steps within it by now

    @property
    def space(self) -> tuple[Plain, Plain]:
        """What the form comes to at most where the step is not taken, and at least where it is."""
        return self.below + self.form.off[1], self.above + self.form.off[0]


Atom: TypeAlias = "Look | Own | Step"


@short_repr
@dataclass(frozen=True)
class Form:
    """A constant, and numbers times looks and steps.

    Args:
        terms: each look, own number and step once, with its factor.
        constants: for each destination what is added.
        off: by how much less and by how much more than what is meant it comes to.
    """

    terms: Mapping[Atom, Plain]
    constants: tuple[Plain, ...]
    off: tuple[Plain, Plain] = (0, 0)

    @property
    def depth(self) -> int:
        """How many layers of steps it takes."""
        return max((atom.depth + 1 for atom in self.terms if isinstance(atom, Step)), default=0)

    @property
    def steps(self) -> int:
        """How many steps there are, each once, those within steps included."""
        return len(all_steps(self))

    @property
    def error(self) -> Plain:
        """By how much it may be off at most."""
        return max(-self.off[0], self.off[1])

    def times(self, factor: Plain) -> Form:
        """Every number times a factor."""
        if factor == 0:
            return Form({}, tuple(0 for _ in self.constants))
        low, high = (off * factor for off in self.off)
        return Form(
            {atom: number * factor for atom, number in self.terms.items()},
            tuple(number * factor for number in self.constants),
            (min(low, high), max(low, high)),
        )

    def plus(self, other: Form) -> Form:
        """The sum of two forms."""
        terms = dict(self.terms)
        for atom, number in other.terms.items():
            terms[atom] = terms.get(atom, 0) + number
        return Form(
            {atom: number for atom, number in terms.items() if number},
            tuple(a + b for a, b in zip(self.constants, other.constants, strict=True)),
            (self.off[0] + other.off[0], self.off[1] + other.off[1]),
        )

    def shifted(self, number: Plain) -> Form:
        """A number more everywhere."""
        return replace(self, constants=tuple(constant + number for constant in self.constants))

    def blurred(self, low: Plain, high: Plain) -> Form:
        """The same, of which something else is meant: it comes to between `low` and `high` more."""
        return replace(self, off=(self.off[0] + low, self.off[1] + high))


def all_steps(*forms: Form) -> list[Step]:
    """Every step of some forms once, those within steps before them."""
    found: dict[Step, None] = {}
    stack = [(step, False) for form in reversed(forms) for step in reversed(_steps_in(form))]
    while stack:
        step, done = stack.pop()
        if done:
            found[step] = None
        elif step not in found:
            stack.append((step, True))
            stack += [(inner, False) for inner in reversed(_steps_in(step.form)) if inner not in found]
    return list(found)


def _steps_in(form: Form) -> list[Step]:
    """The steps that a form adds up."""
    return [atom for atom in form.terms if isinstance(atom, Step)]


Change: TypeAlias = "Callable[[Look], Form | None]"
"""Gives what stands for a look; None where it stays."""


def rewritten(answer: Form, change: Change, within_steps: Change | None = None) -> Form:
    """A form with other forms in place of looks.

    Args:
        answer: the form.
        change: gives what stands for a look.
        within_steps: gives what stands for it in what steps compare; left out, the same.
    """
    inner = within_steps or change
    steps: dict[Step, Step] = {}

    def write(form: Form, change: Change) -> Form:
        total = replace(form, terms={})
        for atom, factor in form.terms.items():
            if isinstance(atom, Step):
                atom = steps[atom]
            other = change(atom) if isinstance(atom, Look) else None
            alone = Form({atom: 1}, tuple(0 for _ in form.constants))
            total = total.plus((alone if other is None else other).times(factor))
        return total

    for step in all_steps(answer):
        steps[step] = replace(step, form=write(step.form, inner))
    return write(answer, change)


def _added(weights: Iterable[tuple[int, Plain]]) -> Weights:
    total: dict[int, Plain] = {}
    for source, weight in weights:
        total[source] = total.get(source, 0) + weight
    return tuple((source, total[source]) for source in sorted(total) if total[source])
