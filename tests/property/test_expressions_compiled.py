"""Compiled expressions mean what they meant: after every pass, as circuits, and as weights.

`make deep` runs many more examples than a test run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import inf

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, note, reject, settings
from hypothesis import strategies as st

from handcraft import (
    Compiled,
    Expression,
    Program,
    Prompts,
    compile_program,
    lookup,
    predict,
    select,
    where,
    window,
)
from handcraft.compiler import CompiledSequences, compile_sequences
from handcraft.compiler.passes.run_nodes import run_nodes
from handcraft.compiler.values.output import Output
from handcraft.errors import AssumptionError, CompileError, PrecisionError
from handcraft.formats.manifest.convert import Tables
from handcraft.language.graph.domain import Finite, Kind, Value, as_number
from handcraft.testing import assert_agreement, declared_prompts, expressions, sequence_programs

EXAMPLES = int(os.environ.get("HANDCRAFT_EXAMPLES", "80"))
"""How many sets of expressions are tried, both architectures together."""

CLOSE = {
    ("block", "float32"): 1e-5,
    ("gpt2", "float32"): 1e-3,
    ("block", "bfloat16"): 1e-2,
    ("gpt2", "bfloat16"): 2e-2,
}
"""How far numbers of ranges may be off, as a part of the largest of them."""

Case = tuple[dict[str, Expression], list[list[str]]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """One or two expressions over the same prompts, and some texts."""
    causal = draw(st.sampled_from([True, True, False]))
    prompts = draw(declared_prompts(max_tokens=3, min_context=1, causal=causal))
    token = st.sampled_from(prompts.vocabulary.tokens)
    whole = st.lists(token, min_size=prompts.context, max_size=prompts.context)
    shorter = st.lists(token, min_size=1, max_size=prompts.context)
    texts = [*draw(st.lists(whole, min_size=1, max_size=4)), *draw(st.lists(shorter, max_size=4))]
    made = expressions(prompts, depth=6)
    outputs = {"one": draw(made)}
    match draw(st.sampled_from(["alone", "alone", "two", "promised", "related", "spread"])):
        case "two":
            outputs["other"] = draw(made)
        case "promised":
            outputs["one"] = _used(draw, _promised(draw, outputs["one"], texts))
        case "related":
            outputs["one"] = _related(draw, outputs["one"], draw(made))
        case "spread":
            outputs["one"] = _spread(draw, draw(expressions(prompts, depth=4, kind="number")))
    return outputs, texts


def _promised(draw: st.DrawFn, expression: Expression, texts: Sequence[Sequence[str]]) -> Expression:
    """The expression with the promise of those values that it has on the texts, or of some more."""
    seen = {value for text in texts for value in expression.trace(text)}
    if isinstance(expression.domain, Finite):
        seen |= draw(st.sets(st.sampled_from(expression.domain.values), max_size=2))
    return expression.assume(sorted(seen, key=str))


def _used(draw: st.DrawFn, promised: Expression) -> Expression:
    """What somebody does with values that were promised."""
    prompts = promised.prompts
    values = _values(promised)
    ways = {
        "itself": lambda: promised,
        "map": lambda: promised.map({v: i % 3 for i, v in enumerate(values)}),
        "compare": lambda: promised == promised.at(-1, default=values[0]),
        "count": lambda: select(promised, promised).count(),
        "latest": lambda: select(promised, values[-1]).latest(promised, default=values[0]),
        "table": lambda: lookup(lambda x, y: (str(x) + y) < "1", promised, prompts.token),
    }
    return ways[draw(st.sampled_from(sorted(ways)))]()


def _related(draw: st.DrawFn, key: Expression, query: Expression) -> Expression:
    """What is learned from sources whose key and query stand in a relation that no comparison names."""
    key, query = _few(key), _few(query)
    pairs = draw(st.sets(st.sampled_from(list(product(_values(key), _values(query))))))
    chosen = select(key, query, lambda k, q: (k, q) in pairs)
    ways = {
        "exists": chosen.exists,
        "count": chosen.count,
        "count others": (~chosen).count,
        "mean": lambda: chosen.mean(key.prompts.position, default=-1),
        "latest": lambda: chosen.latest(key.prompts.token, default=key.prompts.vocabulary.tokens[0]),
        "earliest": lambda: chosen.earliest(key.prompts.position, default=0),
    }
    return ways[draw(st.sampled_from(sorted(ways)))]()


def _spread(draw: st.DrawFn, number: Expression) -> Expression:
    """What is made of numbers that are too many to list."""
    prompts = number.prompts
    if number.domain.parts > prompts.context:  # means of means of means have no end of denominators
        number = where(number >= 1, 1, 0)
    wide = window(2).mean(window(3).mean(number)) * Fraction(1, 3) + prompts.everything.mean(number)
    ways = {
        "itself": lambda: wide,
        "compare": lambda: wide >= draw(st.integers(-2, 4)),
        "compare two": lambda: wide < number,
        "equal": lambda: wide == number,
        "choose": lambda: where(prompts.position % 2 == 0, wide, number),
        "latest": lambda: wide.at(-1, default=0),
    }
    return ways[draw(st.sampled_from(sorted(ways)))]()


def _few(expression: Expression) -> Expression:
    if isinstance(expression.domain, Finite) and len(expression.domain.values) <= 6:
        return expression
    return where(expression >= 1, 1, 0)


def _values(expression: Expression) -> tuple[Value, ...]:
    assert isinstance(expression.domain, Finite)
    return expression.domain.values


def assert_agrees(made: CompiledSequences, case: Case, close: float) -> None:
    """Assert that trees, circuits and weights say what the expressions mean, on every text."""
    outputs, texts = case
    prompts = made.prompts
    _assert_recorded(made)
    for text in texts:
        meant = [expression.trace(text) for expression in outputs.values()]
        for stage in made.stages:
            said = run_nodes(stage.nodes, text, causal=prompts.causal)
            assert said == meant, f"after {stage.name!r}: {text} gives {said} and not {meant}"
    for length in {len(text) for text in texts}:
        batch = [text for text in texts if len(text) == length]
        ids = np.array([prompts.vocabulary.ids(text) for text in batch])
        ideal, numbers = made.ideal(ids), made.numbers(ids)
        for output in made.outputs:
            for row, text in enumerate(batch):
                meant = outputs[output.name].trace(text)
                exact, rounded = ideal[output.name][row], numbers[output.name][row]
                assert _exactly(output, exact) == meant, f"ideal circuits: {text} gives {exact}"
                for number, value in zip(rounded.tolist(), meant, strict=True):
                    assert _says(output, number, value, close), (
                        f"weights: {output.name} of {text} is {number} and not {value}"
                    )


def _assert_recorded(made: CompiledSequences) -> None:
    """Assert that a folder says of every output what is known of it."""
    outputs = tuple(replace(output, place=None) for output in made.outputs)
    written, read = Tables(), Tables()
    data = json.loads(json.dumps({"outputs": written.write(outputs), **written.write_tables()}))
    read.read_tables(data)
    assert read.read(data["outputs"], tuple[Output, ...]) == outputs


def _exactly(output: Output, numbers: Sequence[Fraction]) -> tuple[Value, ...]:
    """The values that exact numbers stand for, with nothing rounded."""
    if output.domain.kind is Kind.NUMBER:
        return tuple(numbers)
    assert isinstance(output.domain, Finite)
    return tuple(output.domain.values[int(n)] if n == int(n) else n for n in numbers)


def _says(output: Output, number: float, value: Value, close: float) -> bool:
    """Whether a number of the residual stream stands for a value.

    Numbers of a range, and numbers as close to each other, need only be near.
    """
    domain = output.domain
    if domain.kind is Kind.NUMBER:
        allowed = close * max(1, abs(domain.low), abs(domain.high))
        if not output.is_distinguishable or not isinstance(domain, Finite) or domain.gap < 2 * allowed:
            return abs(number - as_number(value)) <= allowed
    said = output.value(number)
    return said == value and type(said) is type(value)


def check(case: Case, architecture: str) -> None:
    """Compile in every dtype that the compiler accepts, and compare."""
    outputs, _ = case
    note("; ".join(f"{name} = {expression}" for name, expression in outputs.items()))
    note(f"{next(iter(outputs.values())).prompts}")
    try:
        made = compile_sequences(outputs, architecture=architecture, tolerance=inf)
    except CompileError as error:
        event(f"float32: {type(error).__name__}")
        reject()
    assert_agrees(made, case, CLOSE[architecture, "float32"])
    try:
        made = compile_sequences(outputs, architecture=architecture, dtype="bfloat16", tolerance=inf)
    except PrecisionError:
        event("bfloat16: PrecisionError")
        return
    event("bfloat16: compiled")
    assert_agrees(made, case, CLOSE[architecture, "bfloat16"])


examples = settings(
    max_examples=EXAMPLES // 2,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@examples
@given(cases())
def test_expressions_keep_their_meaning_on_every_floor_of_the_bare_block(case):
    check(case, "block")


@examples
@given(cases())
def test_expressions_keep_their_meaning_on_every_floor_of_gpt2(case):
    check(case, "gpt2")


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Programs whose rules read expressions, few enough for heights or more than that."""
    causal = draw(st.sampled_from([True, True, False]))
    most = draw(st.sampled_from([4, 9]))
    return draw(sequence_programs(max_tokens=3, max_rules=most, depth=4, causal=causal))


def check_program(program: Program, architecture: str) -> None:
    """Compile in every dtype that the compiler accepts, and compare on some prompts."""
    note(str(program.prompts))
    for dtype in ("float32", "bfloat16"):
        try:
            made = compile_program(program, architecture=architecture, dtype=dtype)
        except PrecisionError:
            event(f"{dtype}: PrecisionError")
            if dtype == "float32":
                reject()
            return
        assert_agreement(made, every_up_to=150, sample=48)
    event("bfloat16: compiled")


fewer = settings(examples, max_examples=max(1, EXAMPLES // 10))


@fewer
@given(programs())
def test_rules_over_expressions_say_the_same_on_every_floor_of_the_bare_block(program):
    check_program(program, "block")


@fewer
@given(programs())
def test_rules_over_expressions_say_the_same_on_every_floor_of_gpt2(program):
    check_program(program, "gpt2")


# what the assertion catches

PROMPTS = Prompts("ab", context=3)
SEEN = select(PROMPTS.token, PROMPTS.token).count()


def planted(program: Program, number: float) -> Compiled:
    """The model with a number added to the logit of its first token."""
    right = compile_program(program, architecture="block")
    assert_agreement(right)
    tensors = {name: array.copy() for name, array in right.model.tensors.items()}
    last = f"h.{right.model.shape.n_layer - 1}.mlp.c_proj.bias"
    tensors[last][right.layout.start[right.circuits.unembedding]] += number
    return replace(right, model=replace(right.model, tensors=tensors))


def test_a_wrong_token_is_caught_after_its_shortest_context():
    rules = [predict("b").when(SEEN >= 2), predict("a").otherwise()]
    with pytest.raises(AssertionError, match="they disagree after 'aa':") as caught:
        assert_agreement(planted(Program(prompts=PROMPTS, rules=rules), 1000))
    assert "the rules mean      b" in str(caught.value)
    assert "the ideal circuits  b" in str(caught.value)
    assert "the forward pass    a" in str(caught.value)


def test_a_wrong_token_is_caught_wherever_it_stands_in_a_prompt_without_a_mask():
    prompts = Prompts("ab", context=3, causal=False)
    rules = [predict("b").when(prompts.token.at(1, default="a") == "b"), predict("a").otherwise()]
    with pytest.raises(AssertionError, match="they disagree at position 0 of 'ab':"):
        assert_agreement(planted(Program(prompts=prompts, rules=rules), 1000))


def test_a_wrong_probability_is_caught():
    rules = [predict({"a": 0.25, "b": 0.75}).when(SEEN >= 2), predict("b").otherwise()]
    with pytest.raises(AssertionError, match="they disagree after 'aa':") as caught:
        assert_agreement(planted(Program(prompts=PROMPTS, rules=rules), 0.1))
    assert "the rules mean      0.2500 0.7500" in str(caught.value)
    assert "the ideal circuits  0.2500 0.7500" in str(caught.value)
    assert "the forward pass    0.2692 0.7308" in str(caught.value)


def test_equal_probabilities_agree_though_no_token_is_best():
    assert_agreement(Program(prompts=PROMPTS, rules=[predict({"a": 0.5, "b": 0.5}).otherwise()]))


def promising(prompts: Prompts) -> Program:
    """A program that promises itself an a in the first place."""
    first = prompts.token.at_position(0).assume(["a"])
    return Program(prompts=prompts, rules=[predict(first).otherwise()])


@pytest.mark.parametrize("every_up_to", [1000, 0], ids=["every", "drawn"])
def test_only_allowed_prompts_are_tried(every_up_to):
    assert_agreement(
        promising(Prompts("ab", context=3, inputs="a[ab]*")), every_up_to=every_up_to, sample=50
    )
    starting = Prompts("ab<", context=3, bos="<")
    first = starting.token.at_position(0).assume(["<"])
    assert_agreement(
        Program(prompts=starting, rules=[predict(first).otherwise()]),
        every_up_to=every_up_to,
        sample=50,
    )


@pytest.mark.parametrize("every_up_to", [1000, 0], ids=["every", "drawn"])
def test_an_allowed_prompt_that_breaks_a_promise_is_found(every_up_to):
    with pytest.raises(AssumptionError, match=r"`token.at_position\(0\)` is 'b' at position 0"):
        assert_agreement(promising(Prompts("ab", context=3)), every_up_to=every_up_to, sample=50)


def test_a_rule_that_always_fires_after_the_passes_silences_those_after_it():
    fair = predict({"a": 0.5, "b": 0.5}).when(PROMPTS.everything.exists())
    assert_agreement(Program(prompts=PROMPTS, rules=[fair, predict("b").otherwise()]))
