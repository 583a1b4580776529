"""Layouts of positions: the same answers from all, and a context of a thousand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from handcraft import Program, compile_program, predict
from handcraft.circuits import one_hot, signed_bits
from handcraft.circuits.subspace import Encoding
from handcraft.compiler.rules.positions import (
    CodedPositions,
    OneHotPositions,
    Span,
    choose_positions,
    membership,
)

RULES = [
    predict("c").after("start ab"),
    predict("b").after("a.[^b]"),
    predict("b").after("ca"),
    predict("c").after("start c"),
    predict("a").otherwise(),
]


def encodings(program: Program, positions: str = "auto") -> dict[str, Encoding]:
    asked = {"positions": positions, "tokens": "one-hot"}
    compiled = compile_program(program, architecture="block", **asked)
    tables = [table.subspace for table in compiled.circuits.embedding if table.of == "position"]
    return {subspace.name: subspace.encoding for subspace in tables}


@pytest.mark.parametrize("context", [3, 5, 6])
def test_all_layouts_of_positions_give_the_same_logits(context):
    program = Program("abc", context, RULES)
    texts = np.array(list(product(range(3), repeat=context)))
    one_hot_logits, *others = (
        compile_program(
            program, positions=positions, tokens="one-hot", architecture="block"
        ).model.forward(texts)
        for positions in ("one-hot", "binary", "sinusoidal")
    )
    assert all((logits == one_hot_logits).all() for logits in others)


def test_binary_positions_hold_the_bits_of_every_target_and_a_flag_for_every_span():
    assert encodings(Program("abc", 6, RULES), "binary") == {
        "position": Encoding.SIGNED_BITS,
        "position - 1": Encoding.SIGNED_BITS,
        "position - 2": Encoding.SIGNED_BITS,
        "position = 0": Encoding.FLAG,
        "position = 1": Encoding.FLAG,
        "position >= 1": Encoding.FLAG,
        "position >= 2": Encoding.FLAG,
    }


def test_sinusoidal_positions_hold_waves_where_binary_ones_hold_bits():
    found = encodings(Program("abc", 6, RULES), "sinusoidal")
    assert found["position"] is found["position - 2"] is Encoding.SINUSOIDAL
    assert found["position >= 2"] is Encoding.FLAG


def test_by_default_short_contexts_are_one_hot_and_long_ones_binary():
    assert encodings(Program("abc", 16, RULES)) == {"position": Encoding.ONE_HOT}
    assert encodings(Program("abc", 17, RULES))["position"] is Encoding.SIGNED_BITS
    assert encodings(Program("abc", 17, RULES), "one-hot") == {"position": Encoding.ONE_HOT}
    assert encodings(Program("abc", 16, RULES), "binary")["position"] is Encoding.SIGNED_BITS


def test_a_program_that_looks_nowhere_holds_no_bits():
    rules = [predict("b").after("a"), predict("a").otherwise()]
    program = Program("ab", 20, rules)
    assert encodings(program).keys() <= {"position"}
    coded = compile_program(program, architecture="block", tokens="binary")
    assert "position >= 0" not in {table.subspace.name for table in coded.circuits.embedding}
    assert compile_program(program, architecture="block").complete("a", 3) == "bab"


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize("positions", ["binary", "sinusoidal"])
def test_a_context_of_a_thousand_is_narrow_and_right(architecture, positions):
    program = Program("abc", 1000, RULES)
    compiled = compile_program(
        program, positions=positions, architecture=architecture, n_positions=1000
    )
    model = compiled.model
    texts = np.random.default_rng(7).integers(0, 3, size=(4, 1000))
    texts[0, :2] = (0, 1)  # start ab
    answers = model.forward(texts).argmax(axis=-1)
    for text, answer in zip(texts.tolist(), answers.tolist(), strict=True):
        assert answer == [program.next_token(text[:n]) for n in range(1, 1001)]
    assert compiled.layout.n_embd < 200


def test_the_target_of_a_look_back_is_the_first_position_where_there_is_none_so_far_back():
    target = CodedPositions(signed_bits, 6, (0, 2), ()).tables[1]
    codes = [tuple(dict(row).get(i, 0) for i in range(target.subspace.width)) for row in target.rows]
    assert codes == [target.subspace.codeword(i) for i in (0, 0, 0, 1, 2, 3)]


@pytest.mark.parametrize(
    ("span", "positions", "name"),
    [(Span(2), [2, 3, 4], "position >= 2"), (Span(2, 2), [2], "position = 2")],
)
def test_a_span_is_a_set_of_positions(span, positions, name):
    assert [i for i in range(5) if i in span] == positions
    assert str(span) == name


@pytest.mark.parametrize("allowed", [s for n in range(6) for s in ([0, 1, 2, 3, 4][:n], [4, 2, 0][:n])])
def test_a_membership_comes_to_its_largest_value_exactly_inside(allowed):
    subspace = one_hot("x", range(5))
    literal = membership(subspace, allowed)
    for i in range(5):
        found = sum(n for j, n in literal.reads.entries if j == i)
        assert found == (literal.needed if i in allowed else literal.needed - 1)
    assert len(literal.reads.entries) == min(len(allowed), 5 - len(allowed))


@pytest.mark.parametrize(
    "layout", [OneHotPositions(6), CodedPositions(signed_bits, 6, (1,), (Span(3),))]
)
def test_a_position_inside_a_span_reads_what_is_needed(layout):
    literal = layout.inside(Span(3))
    table = next(t for t in layout.tables if t.subspace == literal.reads.subspace)
    for position, row in enumerate(table.rows):
        found = sum(dict(row).get(i, 0) * n for i, n in literal.reads.entries)
        assert (found == literal.needed) is (position >= 3)
        assert found <= literal.needed


def test_distances_and_spans_are_stored_once_and_in_order():
    layout = choose_positions("binary", 8, [2, 1, 2], [Span(3), Span(1), Span(3)])
    assert layout == CodedPositions(signed_bits, 8, (1, 2), (Span(1), Span(3)))
