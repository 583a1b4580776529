"""What the tests of the passes share: short texts, and the oracle before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np

from handcraft import Expression, Prompts
from handcraft.compiler import CompiledSequences, compile_sequences
from handcraft.compiler.features.feature import Feature, Reading
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.run_nodes import run_nodes
from handcraft.compiler.passes.run_passes import PASSES, passes_to
from handcraft.errors import AssumptionError
from handcraft.language.graph.domain import Value, as_number
from handcraft.language.graph.node import Node, walk
from handcraft.language.oracle.interpret import interpret


def every_text(prompts: Prompts, longest: int = 4) -> Iterator[tuple[str, ...]]:
    """Every text of up to so many tokens."""
    for length in range(1, min(prompts.context, longest) + 1):
        yield from product(prompts.vocabulary.tokens, repeat=length)


def setting_of(prompts: Prompts) -> Setting:
    """What passes know of the texts."""
    return Setting(prompts.context, prompts.causal, prompts=prompts)


def after(last: str, *expressions: Expression) -> list[Node]:
    """The trees of some expressions after the passes up to the one of that name."""
    nodes = [expression.node for expression in expressions]
    setting = setting_of(expressions[0].prompts)
    for name in passes_to(last):
        nodes = PASSES[name](nodes, setting)
    return nodes


def assert_same(
    prompts: Prompts, before: Sequence[Node], now: Sequence[Node], longest: int = 4
) -> None:
    """Assert that trees keep their values, flags and numbers apart, on every short allowed text.

    The value of every node is in its domain.
    """
    tried = 0
    nodes = [*walk(*now)]
    for text in every_text(prompts, longest):
        try:
            meant = interpret(before, text, causal=prompts.causal)
        except AssumptionError:  # no allowed prompt
            continue
        said = dict(zip(nodes, run_nodes(nodes, text, causal=prompts.causal), strict=True))
        assert _typed([said[node] for node in now]) == _typed(meant), text
        for node, values in said.items():
            assert all(value in node.domain for value in values), (str(node), text)
        tried += 1
    assert tried, "no text is allowed"


def assert_compiled(
    outputs: dict[str, Expression],
    architecture: str = "block",
    dtype: str = "float32",
    *,
    reuse: bool = True,
    **options,
) -> CompiledSequences:
    """Compile, and assert that circuits and weights say on every short text what was meant."""
    made = compile_sequences(outputs, architecture=architecture, dtype=dtype, reuse=reuse)
    meant = _meant(outputs, every_text(made.prompts, **options))
    assert meant, "no text is allowed"
    said = made.apply(list(meant))
    for name in outputs:
        for (text, values), found in zip(meant.items(), said[name], strict=True):
            assert found == values[name], (name, text)
    for text in list(meant)[-64:]:
        exact = made.ideal(np.array([made.prompts.vocabulary.ids(text)]))
        for output in made.outputs:
            found = tuple(output.value(float(number)) for number in exact[output.name][0])
            assert found == meant[text][output.name], (output.name, text)
    return made


def _meant(
    outputs: dict[str, Expression], texts: Iterable[tuple[str, ...]]
) -> dict[tuple[str, ...], dict[str, tuple[Value, ...]]]:
    """What outputs are on allowed texts."""
    found = {}
    for text in texts:
        try:
            found[text] = {name: expression.trace(text) for name, expression in outputs.items()}
        except AssumptionError:  # no allowed prompt
            continue
    return found


def kinds(*roots: Node) -> Counter[str]:
    """How many nodes there are of each class."""
    return Counter(type(node).__name__ for node in walk(*roots))


def read(reading: Reading, values: dict[str, Value]) -> object:
    """What a reading comes to, given the values of what is held by its text."""
    return reading.constant + sum(
        factor * _number(feature, i, values[str(feature.node)]) for factor, feature, i in reading.terms
    )


def _number(feature: Feature, i: int, value: Value) -> object:
    if feature.is_one_hot:
        return int(feature.values.index(value) == i)
    numbers = next(numbers for numbers, dimension in feature.numbers.items() if dimension == i)
    return numbers[feature.values.index(value)] if numbers else as_number(value)


def _typed(columns: Sequence[Sequence[Value]]) -> list[list[tuple[bool, Value]]]:
    return [[(isinstance(value, bool), value) for value in column] for column in columns]
