"""Circuits as plain data: what comes back answers the same, exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from sympy import Symbol

from handcraft import Program, compile_program
from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    Neuron,
    Ramp,
    Reuse,
    Table,
    bias,
    coded,
    copy,
    embed_position,
    embed_token,
    equal,
    flag,
    ideal_logits,
    look_back,
    one_hot,
    scalar,
    signed_bits,
)
from handcraft.circuits.number import evaluate
from handcraft.errors import HandcraftError
from handcraft.formats.manifest.convert import Tables
from handcraft.testing import rule_programs


def data_of(circuits: Circuits) -> dict:
    """The circuits as JSON, with the tables that they refer to."""
    tables = Tables(circuits.values)
    body = tables.write(circuits)
    return json.loads(json.dumps({**body, **tables.write_tables()}))


def circuits_of(data: dict) -> Circuits:
    tables = Tables()
    tables.read_tables(data)
    return tables.read(data, Circuits)


def there_and_back(circuits: Circuits) -> Circuits:
    return circuits_of(data_of(circuits))


def exact_logits(circuits: Circuits, ids) -> list:
    """Every logit as a plain number, so that 1 and Fraction(1) are one thing and 0.33 is another."""
    logits = ideal_logits(circuits, ids)
    return np.frompyfunc(lambda n: Fraction(evaluate(n, circuits.values)), 1, 1)(logits).tolist()


def some_texts(circuits: Circuits, rows: int = 30):
    random = np.random.default_rng(0)
    return random.integers(0, len(circuits.vocabulary), (rows, circuits.context))


def block_circuits(program: Program, **options) -> Circuits:
    return compile_program(program, architecture="block", **options).circuits


def assert_same(circuits: Circuits) -> None:
    back = there_and_back(circuits)
    ids = some_texts(circuits)
    assert exact_logits(back, ids) == exact_logits(circuits, ids)
    assert back.vocabulary == circuits.vocabulary
    assert back.context == circuits.context
    assert back.stream == circuits.stream
    assert back.unembedding == circuits.unembedding
    heads = [head.attends for block in circuits.blocks for head in block.heads]
    again = [head.attends for block in back.blocks for head in block.heads]
    assert [(a.attention_weights, a.error_bound) for a in heads] == [
        (a.attention_weights, a.error_bound) for a in again
    ]


def test_every_source_answers_the_same_exactly(source):
    assert_same(source if isinstance(source, Circuits) else block_circuits(source))


@pytest.mark.parametrize("positions", ["one-hot", "binary"])
@settings(max_examples=25, deadline=None)
@given(program=rule_programs(max_tokens=4))
def test_the_circuits_of_any_rule_program_answer_the_same_exactly(positions, program):
    assert_same(block_circuits(program, positions=positions))


def test_codewords_and_attention_weights_come_back():
    digit = coded("digit", {"0": (0, 0), "1": (1, Fraction(-1, 2))}, dimensions=("v", "-v*v/2"))
    angle = coded("angle", {0: (1, 0), 1: (0, 1)}, dimensions=("cos", "sin"))
    shares = (((0, 1),), ((0, Fraction(10, 11)), (1, Fraction(1, 11))))
    mix = replace(equal(position := one_hot("position", range(2)), position, label="mix"),
                  attention_weights=shares, error_bound=1e-4)  # fmt: skip
    assert_same(
        Circuits(
            "01",
            2,
            embedding=[embed_token(digit), embed_position(position), embed_position(angle)],
            blocks=[Block(heads=(Head("mix", mix, (copy(digit, digit),), (copy(digit, digit),)),))],
            unembedding=digit,
        )
    )


def everything() -> Circuits:
    """Every encoding, several blocks, neurons, biases, a repeated name, symbols and fractions."""
    L, k = Symbol("L", positive=True), Symbol("k")
    position, token = one_hot("position", range(4)), one_hot("token", "ab")
    bits, seen, mean = signed_bits("bits", range(4)), flag("seen"), scalar("mean")
    channel = one_hot("mean", "ab")  # named as another subspace of the stream
    look = Head(
        "look",
        attends=look_back(position, 1),
        moves=(copy(token, channel, times=Fraction(3, 5)),),
        writes=(LinearMap(channel, mean, ((0, 0, Fraction(1, 7)), (1, 0, k))),),
        sharpness=L,
    )
    same = Head(
        "same",
        attends=equal(bits, bits, label="here"),
        moves=(LinearMap(token, mean, ((0, 0, 2),)),),
        writes=(LinearMap(mean, token, ((0, 1, k + Fraction(1, 2)),)),),
    )
    neuron = Neuron(
        "n",
        reads=(Coefficients(position, ((0, 2), (3, 1))), Coefficients(bits, ((0, 1), (1, -1)))),
        at_least=1,
        writes=(Coefficients(seen, ((0, 1),)), Coefficients(token, ((1, Fraction(-4, 9)),))),
    )
    return Circuits(
        "ab",
        4,
        embedding=[
            embed_position(position),
            embed_token(token),
            embed_position(bits),
            Table("token", mean, (((0, Fraction(1, 11)),), ())),
        ],
        scratch=[seen],
        blocks=[
            Block(heads=(look, same), attention_bias=(bias(token, {"a": L / 3}),)),
            Block(neurons=(neuron,), neuron_bias=(bias(token, {"b": -k}),)),
        ],
        unembedding=token,
        values={"L": 1024, "k": Fraction(-5, 3)},
    )


def test_every_kind_of_part_answers_the_same_exactly():
    assert_same(everything())


def with_ramps() -> Circuits:
    """A head that always asks for an a, thresholds between integers, numbers let through."""
    token, mean, out = one_hot("token", "ab"), scalar("mean"), scalar("out")
    named = Coefficients(token, ((0, 1),))
    asks = replace(equal(token, token, label="an a"), query=(), query_bias=(named,))
    head = Head("a", asks, moves=(LinearMap(token, mean, ((0, 0, Fraction(1, 3)),)),),
                writes=(LinearMap(mean, mean, ((0, 0, 1),)),))  # fmt: skip
    above = Neuron(
        "above",
        reads=(Coefficients(mean, ((0, 1),)), Coefficients(token, ((0, Fraction(1, 6)),))),
        at_least=Fraction(1, 2),
        writes=(Coefficients(token, ((1, 5),)),),
        gap=Fraction(1, 6),
    )
    ramp = Ramp(
        "ramp",
        reads=(Coefficients(mean, ((0, 3),)),),
        constant=Fraction(1, 2),
        gate=(Coefficients(token, ((0, -1),)),),
        gate_constant=1,
        most=2,
        writes=(Coefficients(token, ((1, 7),)), Coefficients(out, ((0, 1),))),
    )
    return Circuits(
        "ab",
        4,
        embedding=[embed_token(token), embed_position(one_hot("position", range(4)))],
        scratch=[mean, out],
        blocks=[Block(heads=(head,), neurons=(above, ramp), settled=(mean,), kept=(out,))],
        unembedding=token,
    )


def test_ramps_and_thresholds_between_integers_come_back():
    assert_same(with_ramps())
    once, back = with_ramps().blocks[0], there_and_back(with_ramps()).blocks[0]
    assert back.neurons == once.neurons
    assert (back.settled, back.kept) == (once.settled, once.kept)
    assert back.heads[0].attends.query_bias == once.heads[0].attends.query_bias


def test_circuits_without_unembedding_come_back():
    record = {**data_of(everything()), "unembedding": None}
    back = circuits_of(record)
    assert back.unembedding is None
    assert data_of(back) == record


def test_a_missing_mask_stays_missing():
    record = data_of(everything())
    assert record["causal"] is True
    assert circuits_of(record).causal
    assert not circuits_of({**record, "causal": False}).causal
    assert data_of(circuits_of({**record, "causal": False}))["causal"] is False


def test_a_manifest_is_plain_data_without_floats():
    def kinds(value):
        if isinstance(value, dict):
            return set().union(*map(kinds, value.values()), *map(kinds, value))
        if isinstance(value, list):
            return set().union(*map(kinds, value))
        return {type(value)}

    assert kinds(data_of(everything())) <= {str, int, bool, type(None)}


def test_symbols_are_replaced_by_their_values():
    written = json.dumps(data_of(everything()))
    assert "1024/3" in written
    assert '"L' not in written


def test_a_second_way_changes_nothing_more():
    once = data_of(everything())
    assert data_of(circuits_of(once)) == once


@pytest.mark.parametrize(
    "number", ["1/0", "0/0", "x/2", "1/", "/2", "1/2/3", 1.5, None, True, [1], "nan"]
)
def test_a_number_that_is_none_is_refused(number):
    record = data_of(everything())
    record["blocks"][0]["heads"][0]["attends"]["gap"] = number
    with pytest.raises((ValueError, TypeError, KeyError, HandcraftError)):
        circuits_of(record)


@pytest.mark.parametrize("odd", [None, 0, 1, "false", []])
def test_a_mask_that_is_neither_there_nor_not_is_refused(odd):
    with pytest.raises(ValueError, match="causal"):
        circuits_of({**data_of(everything()), "causal": odd})


@pytest.mark.parametrize("number", [7, -7, 2**80, "1/3", "-22/7"])
def test_integers_and_fractions_come_back_as_they_are(number):
    record = data_of(everything())
    record["blocks"][0]["heads"][0]["writes"][0]["entries"][0][2] = number
    entry = circuits_of(record).blocks[0].heads[0].writes[0].entries[0]
    assert entry == (0, 0, Fraction(number))


def test_results_and_reused_places_survive():
    token, seen, later = one_hot("token", "ab"), scalar("seen"), scalar("later")
    sees = Neuron("sees", (Coefficients(token, ((1, 1),)),), 1, (Coefficients(seen, ((0, 1),)),))
    clear = Ramp(
        "clear", (Coefficients(seen, ((0, 1),)),), 0, (), 1, 1, (Coefficients(seen, ((0, -1),)),)
    )
    says = Neuron("says", sees.reads, 1, (Coefficients(later, ((0, 1),)),))
    made = Circuits(
        "ab",
        2,
        embedding=[embed_token(token)],
        blocks=[Block(neurons=(sees,)), Block(neurons=(says, clear))],
        unembedding=None,
        results=[later],
        reuses=[Reuse(later, seen)],
    )
    record = data_of(made)
    back = circuits_of(record)
    assert (back.results, back.reuses) == (made.results, made.reuses)
