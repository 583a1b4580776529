"""Which numbers share a dimension: those that are read in one fixed ratio only."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from handcraft.compiler.ordinal.form import Atom, Form, Look, Own, Step, all_steps
from handcraft.language.graph.domain import Plain


@dataclass(frozen=True)
class Group:
    """Looks and steps that add up in one dimension.

    Args:
        parts: what adds up, each with its factor.
        shown: one of them as forms have it: it tells how often the sum is in a form.
        in_answer: how often their sum is in the answer.
        is_read: whether some step reads the sum.
        is_home: whether the sum lives where the answer is made, and is read there.
    """

    parts: tuple[tuple[Atom, Plain], ...]
    shown: tuple[Atom, Plain]
    in_answer: Plain
    is_read: bool
    is_home: bool = False

    @property
    def looks(self) -> list[tuple[Look, Plain]]:
        """The looks among its parts, with their factors."""
        return [(atom, factor) for atom, factor in self.parts if isinstance(atom, Look)]

    def times_in(self, form: Form) -> Plain:
        """How often the sum is in a form."""
        atom, factor = self.shown
        return Fraction(form.terms.get(atom, 0)) / factor


def group_parts(answer: Form, *, shares: bool, has_home: bool = True) -> list[Group]:
    """All looks and steps in groups.

    Args:
        answer: what is predicted, as a number.
        shares: whether numbers share a dimension. The ratio in which every step, and the answer, reads
            two of them must be the same: then nothing is lost by holding their sum alone.
        has_home: whether a sum may live where the answer is made.
    """
    steps = all_steps(answer)
    readers = [step.form for step in steps]
    atoms = dict.fromkeys(
        atom for form in (*readers, answer) for atom in form.terms if not isinstance(atom, Own)
    )
    grouped: dict[Hashable, list[tuple[Atom, Plain]]] = {}
    for number, atom in enumerate(atoms):
        column = [Fraction(form.terms.get(atom, 0)) for form in (answer, *readers)]
        unit = next(factor for factor in column if factor)
        ratio = tuple(factor / unit for factor in column)
        key: Hashable = ratio if shares or not any(column[1:]) else number
        grouped.setdefault(key, []).append((atom, unit))
    groups = []
    for parts in grouped.values():
        first, factor = parts[0]
        in_answer = Fraction(answer.terms.get(first, 0)) / factor
        is_read = any(first in form.terms for form in readers)
        groups.append(Group(tuple(parts), parts[0], in_answer, is_read))
    return _with_home(groups, steps) if shares and has_home else groups


def _with_home(groups: Sequence[Group], steps: Sequence[Step]) -> list[Group]:
    """Let the largest group that can live where the answer is made.

    Nothing else may have been added there before the last step read it.
    """

    def can(group: Group) -> bool:
        read = [s.depth for s in steps if any(atom in s.form.terms for atom, _ in group.parts)]
        others = [atom for g in groups if g is not group and g.in_answer for atom, _ in g.parts]
        late = all(isinstance(atom, Step) and atom.depth >= max(read, default=0) for atom in others)
        return group.is_read and bool(group.in_answer) and late

    home = max(filter(can, groups), key=lambda group: len(group.parts), default=None)
    return [replace(g, is_home=True) if g is home else g for g in groups]


def merge_looks(group: Group) -> Group:
    """One look for all of a group that count on the same side, where that adds up everywhere.

    Patterns that do not overlap, or do, are one pattern: sources that count w of W get w / W of the
    attention, scores that differ by the logarithm of their ratio.
    """
    kept: list[tuple[Atom, Plain]] = [part for part in group.parts if not isinstance(part[0], Look)]
    for sign in (1, -1):
        side = [look.times(factor * sign) for look, factor in group.looks if factor * sign > 0]
        if not side:
            continue
        total = side[0]
        for look in side[1:]:
            total = total.plus(look)
        if len(side) == 1 or total.total is None or not total.is_positive:
            kept += [(look, f) for look, f in group.looks if f * sign > 0]
        else:
            kept.append((total, sign))
    return replace(group, parts=tuple(kept))
