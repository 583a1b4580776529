"""What heads, neurons and biases add to the residual stream, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from handcraft.circuits import Bias, Coefficients, Encoding, Head, Neuron, Number, Ramp, Subspace
from handcraft.display import count
from handcraft.draw.graphs.label import some, visible
from handcraft.origin import Origin

MOST_ROWS = 4
"""How many lines say what a head moves."""

MOST_RULES = 3
"""How many rules, or neurons, are named."""

_MOST_VALUES = 6

_MINUS = "\N{MINUS SIGN}"

_Effect = dict[tuple[Subspace, int], Number]
"""For dimensions of the residual stream, what is added to them."""


def head_rows(head: Head) -> list[str]:
    """What a head adds for each value that it finds where it attends: W_V times W_O, row by row."""
    rows: list[str] = []
    by_source: dict[Subspace, dict[int, _Effect]] = {}
    for (source, i), effect in _composed(head).items():
        by_source.setdefault(source, {})[i] = effect
    for source, effects in by_source.items():
        if _is_copy(source, effects):
            rows.append(f"copies {source}")
            continue
        alike: dict[tuple[tuple[tuple[Subspace, int], Number], ...], list[int]] = {}
        for i, effect in effects.items():
            alike.setdefault(tuple(effect.items()), []).append(i)
        rows.extend(
            f"{_dimensions(source, found)} → {_added(effect)}" for effect, found in alike.items()
        )
    return some(rows, MOST_ROWS)


def neuron_fields(neurons: Sequence[Neuron | Ramp]) -> list[list[str]]:
    """The rules that some neurons serve, and what they add, in one field of lines or two."""
    return _fields([(_rules_in_words(n.origins) or n.name, _writes(n.writes)) for n in neurons])


def bias_fields(biases: Sequence[Bias]) -> list[list[str]]:
    """The rules that some biases serve, where known, and what they add; in one field or two."""
    return _fields([(_rules_in_words(each.origins), _writes([each.adds])) for each in biases])


def rules_of(head: Head, *, but: str | None = None) -> list[str]:
    """Some of what a head serves: what its maps do, or where they do not say, the head itself.

    `but` is a text that is known already.
    """
    maps = (*head.attends.query, *head.attends.key, *head.moves, *head.writes)
    served = dict.fromkeys(origin for m in maps for origin in m.origins) or head.origins
    return some([f"for: {origin.what}" for origin in served if origin.what != but], MOST_RULES)


def added(parts: Iterable[Coefficients]) -> str:
    """What is added up, every number: ``token a +1, before +2``."""
    return ", ".join(
        f"{dimension(part.subspace, i)} {signed(number)}"
        for part in parts
        for i, number in part.entries
    )


def _fields(served: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Lines from pairs: the rules that are served, and what is added; equal rules are named once."""
    rules = served[0][0]
    if len(served) > 1 and rules and all(each == rules for each, _ in served):
        return [some([adds for _, adds in served], MOST_RULES), [f"for: {rules}"]]
    return [some([f"{each}: {adds}" if each else adds for each, adds in served], MOST_RULES)]


def _rules_in_words(origins: Iterable[Origin]) -> str:
    return ", ".join(some([origin.what for origin in origins], 1))


def _composed(head: Head) -> dict[tuple[Subspace, int], _Effect]:
    """For every dimension that the head moves, what it adds: W_V @ W_O -> [source, target]."""
    projected: dict[tuple[Subspace, int], list[tuple[tuple[Subspace, int], Number]]] = {}
    for linear in head.writes:
        for i, j, number in linear.entries:
            projected.setdefault((linear.source, i), []).append(((linear.target, j), number))
    composed: dict[tuple[Subspace, int], _Effect] = {}
    for linear in head.moves:
        for i, j, moved in linear.entries:
            effect = composed.setdefault((linear.source, i), {})
            for target, number in projected.get((linear.target, j), ()):
                effect[target] = effect.get(target, 0) + moved * number
    kept = {source: {t: n for t, n in e.items() if n != 0} for source, e in composed.items()}
    return {source: effect for source, effect in kept.items() if effect}


def _is_copy(source: Subspace, effects: dict[int, _Effect]) -> bool:
    """Whether each dimension of `source` is written, times 1, to the same place of one subspace."""
    if source.is_number or len(effects) != source.width:
        return False
    targets = {target for effect in effects.values() for target, _ in effect}
    return len(targets) == 1 and all(
        [(j, number) for (_, j), number in effect.items()] == [(i, 1)] for i, effect in effects.items()
    )


def _dimensions(subspace: Subspace, indices: Sequence[int]) -> str:
    """Some dimensions of one subspace, named."""
    if subspace.encoding is Encoding.ONE_HOT:
        values = [visible(str(subspace.values[i])) for i in indices]
        return f"{subspace} {' '.join(some(values, _MOST_VALUES))}"
    return ", ".join(some([subspace.dimension_names[i] for i in indices], _MOST_VALUES))


def _writes(writes: Iterable[Coefficients]) -> str:
    return _added([((write.subspace, i), n) for write in writes for i, n in write.entries])


def _added(effect: Sequence[tuple[tuple[Subspace, int], Number]]) -> str:
    """What is added, such as ``b +256``; tokens and other values go by themselves."""
    parts = [f"{_target(subspace, i)} {signed(number)}" for (subspace, i), number in effect]
    return ", ".join(some(parts, MOST_RULES)) if parts else "nothing"


def _target(subspace: Subspace, index: int) -> str:
    if subspace.encoding is Encoding.ONE_HOT:
        return visible(str(subspace.values[index]))
    return subspace.dimension_names[index]


def dimension(subspace: Subspace, index: int) -> str:
    """The name of one dimension, with that of its subspace."""
    return visible(subspace.dimension_names[index])


def signed(number: Number) -> str:
    """A number with its sign, in typographic form."""
    shown = str(number)
    is_sum = any(f" {sign} " in shown for sign in "+-")
    signed = f"+({shown})" if is_sum else shown if shown.startswith("-") else f"+{shown}"
    return signed.replace("-", _MINUS)


def shape_of(subspaces: Sequence[Subspace]) -> str:
    """The encoding and the width of subspaces that are drawn as one."""
    shape = f"{subspaces[0].encoding.value}, {count(subspaces[0].width, 'dimension')}"
    return shape if len(subspaces) == 1 else f"{count(len(subspaces), 'subspace')}, each {shape}"
