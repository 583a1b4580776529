"""How values are feature: as those numbers that somebody reads, and what shares a dimension."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from short_texts import after, assert_compiled, read

from handcraft import Prompts, lookup, select, where, window
from handcraft.circuits import Neuron
from handcraft.compiler.features.allocate import MOST, Features
from handcraft.compiler.features.assembly import Assembly
from handcraft.compiler.features.feature import Reading, sum_of
from handcraft.compiler.features.precision import Precision
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.tables.fuse import fuse

PROMPTS = Prompts("abc", context=4)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
SETTING = Setting(4, causal=True)
KNOWN = ("size", "size_of_others", "rest", "weight", "small", "span", "digits", "is_whole", "has_means")
WORTH = TOKEN.map({"a": 0, "b": 1, "c": 3})


def widths(features: Features) -> dict[str, int]:
    """For everything that is held, how many dimensions it takes."""
    return {
        str(feature.node): len(feature.values) if feature.is_one_hot else len(feature.numbers)
        for feature in features.by_node.values()
    }


def assert_reads(reading: Reading, of, name: str, values) -> None:
    """Assert that a reading comes to what a function says of every value."""
    assert {value: read(reading, {name: value}) for value in values} == {v: of(v) for v in values}


def test_a_number_that_is_read_as_itself_takes_one_dimension():
    features = Features()
    assert_reads(features.number(POSITION.node), lambda n: n, "position", range(4))
    assert widths(features) == {"position": 1}


@pytest.mark.parametrize("normed", [False, True])
@given(
    wanted=st.lists(
        st.tuples(st.integers(0, 3), st.fractions(-3, 3, max_denominator=6), st.integers(-2, 2)),
        max_size=5,
    )
)
def test_a_sum_knows_of_itself_what_its_terms_say(normed, wanted):
    features = Features(normed=normed, in_bits=True, small=normed)
    third = lookup(lambda a, b: a == "a" and b > 1, TOKEN, POSITION)
    found = fuse(rebuild([e.node for e in (WORTH, POSITION, TOKEN == "b", third)]), SETTING)
    readings = [features.number(found[i]) * factor + Reading((), n) for i, factor, n in wanted]
    assembly = Assembly(features, 4, Precision("float32", normed))
    assembly.settle()
    total = sum_of(readings)
    alone = Reading(total.terms, total.constant)  # knows no parts
    for name in KNOWN:
        assert getattr(total, name) == getattr(alone, name), name


@pytest.mark.parametrize("factor", [3, -1, Fraction(2, 7)])
def test_numbers_that_differ_by_a_factor_and_a_constant_share_a_dimension(factor):
    features = Features()
    square = POSITION.map(lambda n: n * n)
    other = POSITION.map(lambda n: factor * n * n + 5)
    assert_reads(features.number(square.node), lambda n: n * n, "position", range(4))
    assert_reads(features.number(other.node), lambda n: factor * n * n + 5, "position", range(4))
    assert widths(features) == {"position": 1}


def test_a_flag_and_its_negation_share_a_dimension():
    features = Features()
    flag = TOKEN == "a"
    assert_reads(features.number(flag.node), lambda t: int(t == "a"), "token", "abc")
    assert_reads(features.number((~flag).node), lambda t: int(t != "a"), "token", "abc")
    assert widths(features) == {"token": 1}


def test_other_functions_of_a_value_take_a_dimension_each():
    features = Features()
    features.number(POSITION.node)
    features.number(POSITION.map(lambda n: n * n).node)
    assert widths(features) == {"position": 2}


def test_the_same_function_twice_takes_one_dimension():
    features = Features()
    for _ in range(2):
        features.number(lookup(lambda x: ord(x) ** 2, TOKEN).node)
    assert widths(features) == {"token": 1}


def test_a_table_of_tables_is_a_number_of_what_lies_below():
    features = Features()
    table = WORTH.map(lambda n: n * n).map(lambda n: 10 - n)
    assert_reads(
        features.number(table.node), lambda t: 10 - {"a": 0, "b": 1, "c": 9}[t], "token", "abc"
    )
    assert widths(features) == {"token": 1}


def test_a_sum_is_read_term_by_term_and_takes_no_dimension_of_its_own():
    features = Features()
    reading = features.number((2 * POSITION - WORTH + 7).node)
    for n in range(4):
        for t, worth in (("a", 0), ("b", 1), ("c", 3)):
            assert read(reading, {"position": n, "token": t}) == 2 * n - worth + 7
    assert widths(features) == {"position": 1, "token": 1}


def test_a_sum_that_cancels_reads_nothing():
    reading = Features().number((WORTH * 2 - TOKEN.map({"a": 1, "b": 3, "c": 7})).node)
    assert (reading.terms, reading.constant) == ((), -1)


def test_a_constant_gets_no_dimension():
    features = Features()
    assert features.number(PROMPTS.constant(3).node).constant == 3
    assert not features.by_node


def test_what_is_promised_is_read_from_what_it_is_promised_of():
    features = Features()
    promised = POSITION.assume([1, 2])
    reading = features.number(promised.map(lambda n: 7 * n * n).node)
    assert_reads(reading, lambda n: 7 * n * n, "position", (1, 2))
    assert set(widths(features)) == {"position"}


def test_any_function_is_read_from_a_one_hot_token():
    features = Features(one_hot=("token",))
    for function in (ord, lambda t: t == "b", lambda t: Fraction(ord(t), 7)):
        reading = features.number(lookup(function, TOKEN).node)
        assert_reads(reading, lambda t, f=function: f(t) + 0, "token", "abc")
    assert widths(features) == {"token": 3}


def test_zero_is_stored_as_zero_if_requested():
    asked = (0, 5, 5, 5)
    reading = Features().read(POSITION.node, asked, keeps_zero=True)
    assert reading.constant == 0
    assert_reads(reading, lambda n: asked[n], "position", range(4))


@pytest.mark.parametrize("number", [100 * POSITION, POSITION.map(lambda n: 1000 * n * n)], ids=str)
def test_before_layernorm_large_numbers_are_stored_small(number):
    features = Features(normed=True)
    reading = features.number(number.node)
    assert_reads(reading, lambda n: number.trace("aaaa")[n], "position", range(4))
    for _, feature, i in reading.terms:
        assert max(map(abs, feature.span(i))) <= MOST


def test_the_ends_of_a_reading_are_those_of_what_it_reads():
    reading = Features().number((5 - 2 * POSITION).node)
    assert reading.span == (-1, 5)
    assert reading.size == 6


def test_the_ends_are_those_of_the_number_however_many_dimensions_it_takes():
    """A value of which many numbers are read is held one-hot at last; its numbers stay as large."""
    features = Features()
    reading = features.number(POSITION.node) * 20
    ((_, feature, i),) = reading.terms
    feature.is_one_hot = True
    assert (reading.span, reading.size, reading.weight) == ((0, 60), 60, 20 * (1 + 2 + 3))
    assert feature.span(i) == (0, 3)


def test_the_span_of_a_moved_number_is_without_the_constant():
    """Of a flag that is mostly True the difference from True is brought."""
    flags = select(TOKEN, TOKEN).latest(TOKEN != "a")
    (brought,) = after("fuse tables", flags)
    reading = Features().number(brought)
    ((_, feature, i),) = reading.terms
    assert (feature.span(i), reading.constant) == ((-1, 0), 1)
    assert reading.span == (0, 1)


# in a compiled model


def neurons(made) -> int:
    """Those that compute something: not the ramps that clear dimensions."""
    return sum(isinstance(neuron, Neuron) for block in made.circuits.blocks for neuron in block.neurons)


def heads(made) -> int:
    return sum(len(block.heads) for block in made.circuits.blocks)


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_a_moved_value_may_have_a_smaller_domain_than_its_source(architecture):
    """A count that is at least 1 is 0 nowhere, though the step function that makes it could say so."""
    prompts = Prompts("ab", context=2)
    many = (~select(window(1).mean(prompts.position), -1)).count() * 2
    here = many.at(0, default=0)
    mean = window(2).mean(window(3).mean(here)) / 3 + prompts.everything.mean(here)
    assert_compiled({"it": where(prompts.position % 2 == 0, mean, here)}, architecture)


def test_functions_of_token_and_position_cost_neither_head_nor_neuron():
    made = assert_compiled(
        {
            "square": POSITION.map(lambda n: n * n),
            "sum": WORTH + 3 * POSITION,
            "flag": TOKEN == "b",
            "label": TOKEN.map({"a": "c", "b": "a", "c": "a"}),
            "table of a table": (POSITION % 2).map({0: "a", 1: "b"}),
            "constant": PROMPTS.constant("b"),
            "sum as a table": lookup(lambda x, n: ord(x) - n, TOKEN, POSITION),
        }
    )
    assert (heads(made), neurons(made)) == (0, 0)


def test_what_is_fetched_costs_a_head_and_no_neuron_whatever_is_read_of_it():
    before = select(POSITION, POSITION // 2).latest(TOKEN)
    made = assert_compiled({"it": before, "flag": before == "b", "worth": before.map(ord)})
    assert (heads(made), neurons(made)) == (1, 0)


def flags(number) -> dict:
    """Whether a number is 1, whether it is 2, and so on; and its square."""
    return {"square": number * number, **{f"is {n}": number == n for n in (1, 2, 3, 4)}}


@pytest.mark.parametrize("value", [POSITION + 1, select(TOKEN, TOKEN).count()], ids=str)
def test_a_value_with_more_numbers_read_than_it_has_values_is_stored_one_hot(value):
    made = assert_compiled(flags(value))
    assert 4 in {subspace.width for subspace in made.circuits.stream}


@pytest.mark.parametrize("value", [POSITION, select(TOKEN, TOKEN).count()], ids=str)
def test_a_value_of_which_few_numbers_are_read_is_not(value):
    made = assert_compiled({"flag": value == 2, "square": value * value})
    assert sum(str(value.node) in subspace.name for subspace in made.circuits.stream) <= 2


def test_neurons_write_every_number_that_is_read_of_them_at_once():
    seen = select(TOKEN, TOKEN).count()
    alone = assert_compiled({"count": seen})
    often = assert_compiled(
        {"count": seen, "even": seen % 2 == 0, "label": seen.map("zabcd".__getitem__)}
    )
    assert neurons(often) == neurons(alone)
