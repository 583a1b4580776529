"""Tables over several values become steps along one sum; what is readable stays a table."""

from __future__ import annotations

from fractions import Fraction

import pytest
from short_texts import after, assert_compiled, assert_same, kinds

from handcraft import Prompts, lookup, select, where, window
from handcraft.compiler import compile_sequences
from handcraft.compiler.passes.ir import StepFunction
from handcraft.compiler.passes.tables.fuse import is_scalar
from handcraft.language.graph.node import Linear, Lookup, Node, walk

PROMPTS = Prompts("abc", context=4)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
BEFORE = TOKEN.at(-1, default="a")
EARLIER = TOKEN.at(-2, default="a")
RANK = TOKEN.map({"a": 2, "b": 0, "c": 5})
SHARE = select(TOKEN, TOKEN).mean(POSITION)
WIDE = window(2).mean(window(3).mean(POSITION)) * 0.1


def fused(*expressions) -> list[Node]:
    """The trees after the pass: every value is kept, and no table is over several values."""
    nodes = after("fuse tables", *expressions)
    assert_same(PROMPTS, [expression.node for expression in expressions], nodes)
    for node in walk(*nodes):
        assert not isinstance(node, Lookup) or len(node.arguments) == 1
    assert not kinds(*nodes)["AtLeast"]
    return nodes


def step_functions(*roots: Node) -> list[StepFunction]:
    return [node for node in walk(*roots) if isinstance(node, StepFunction)]


def steps(*roots: Node) -> int:
    return sum(len(node.thresholds) for node in step_functions(*roots))


EVERY_KIND = {
    "table of a token": TOKEN.map({"a": "c", "b": "a", "c": "b"}),
    "table of two": lookup(lambda x, y: x + y in ("ab", "bc"), BEFORE, TOKEN),
    "labels of two": lookup(lambda x, y: max(x, y), BEFORE, TOKEN),
    "product": RANK * POSITION,
    "sum in a table": lookup(lambda x, i: 3 * i + ord(x), TOKEN, POSITION),
    "flag of a sum": lookup(lambda x, i: x == "a" and i > 1, TOKEN, POSITION),
    "two levels": (BEFORE == "a") & (TOKEN == "b") | (POSITION == 2),
    "several tokens": (TOKEN == BEFORE) & (BEFORE != EARLIER),
    "share": SHARE >= 1,
    "table of a share": SHARE.map(lambda x: "a" if x == Fraction(1, 2) else "b"),
    "share and token": lookup(lambda s, x: s > 1 and x == "a", SHARE, TOKEN),
    "two shares": lookup(lambda s, r: s < r, SHARE, window(2).mean(TOKEN == "a")),
    "range": WIDE >= 0.1,
    "range and token": (WIDE > 0.1) & (TOKEN == "a"),
    "ranges": WIDE == SHARE * 0.1,
    "choice": where(TOKEN == "a", WIDE, POSITION),
    "count": select(TOKEN, TOKEN).count() == 2,
    "count and mean of the same": (
        (select(TOKEN, "a").count() == 2)
        & (window(4).mean(TOKEN == "a") < window(4).mean(TOKEN == "b"))
    ),
    "promise": (POSITION.assume([0, 1, 2]) + RANK) % 3 == 0,
    "back": lookup(lambda x, y: x < y, POSITION, RANK).at(-1, default=True),
}


@pytest.mark.parametrize("expression", EVERY_KIND.values(), ids=EVERY_KIND)
def test_every_kind_of_table_keeps_its_meaning(expression):
    fused(expression)


def test_a_table_of_one_value_stays_a_table():
    (node,) = fused(TOKEN.map({"a": "c", "b": "a", "c": "b"}))
    assert isinstance(node, Lookup)


def test_flags_that_all_hold_are_one_step_however_they_are_nested():
    (node,) = fused((BEFORE == "a") & ((TOKEN == "b") & (EARLIER == "c")))
    assert steps(node) == 1


def test_tables_of_tables_are_read_from_what_lies_below_all():
    (node,) = fused(((TOKEN == "a") | (BEFORE == "a")) & ~(TOKEN == "b") | (BEFORE == "c"))
    assert len(step_functions(node)) == 1
    bottom = {str(child) for child in walk(node) if not child.children}
    assert bottom <= {"token", "position"}


def test_a_sum_that_is_written_as_a_table_is_a_sum():
    (node,) = fused(lookup(lambda x, i: 3 * i + ord(x), TOKEN, POSITION))
    assert isinstance(node, Linear)
    assert not steps(node)


def test_flags_that_exclude_each_other_are_added_without_a_step():
    (node,) = fused((TOKEN == "a") & (BEFORE == "b") | (TOKEN == "a") & (BEFORE != "b"))
    assert not steps(node), "it is the token's flag, whatever stands before"


def test_a_comparison_of_a_range_is_one_step():
    (node,) = fused(WIDE >= 0.1)
    assert isinstance(node, StepFunction)
    assert len(node.thresholds) == 1


def test_numbers_of_a_range_are_equal_between_two_comparisons():
    assert steps(*fused(WIDE == SHARE * 0.1)) == 3, "one for each side, and one for both"


def test_a_mean_becomes_a_step_function_once_if_two_are_compared():
    shares = lookup(lambda s, r: s < r, SHARE, window(2).mean(TOKEN == "a"))
    (node,) = fused(shares)
    assert {str(step_function) for step_function in step_functions(node)} >= {str(SHARE)}


def test_a_mean_beside_a_token_is_read_as_it_is():
    (node,) = fused(lookup(lambda s, x: s > 1 and x == "a", SHARE, TOKEN))
    assert isinstance(node, StepFunction)
    assert len(step_functions(node)) == 1
    assert any(is_scalar(term) for _, term in node.thresholds[0].terms)


@pytest.mark.parametrize(
    ("expression", "is_one"),
    [
        (SHARE, True),
        (WIDE, True),
        (POSITION + RANK, True),
        (SHARE.at_position(0, default=0), True),
        (SHARE.at(-1, default=0), False),
        (POSITION, False),
        (BEFORE, False),
        (TOKEN == "a", False),
        (select(TOKEN, TOKEN).count(), False),
        (RANK, False),
    ],
    ids=str,
)
def test_only_means_and_sums_are_stored_as_numbers_alone(expression, is_one):
    (node,) = after("fuse tables", expression)
    assert is_scalar(node) is is_one


def test_rows_that_an_argument_never_says_are_left_out():
    prompts = Prompts("ab", context=8)
    same = select(prompts.token, prompts.token)
    shares = [same.mean(prompts.position), (same & same).mean(prompts.position)]
    never = shares[0] + 1 == shares[1]
    assert set(never.domain.values) == {False, True}, "nobody knows yet that both are the same mean"
    earlier = select(prompts.position, prompts.position, "<").mean(prompts.position, default=0)
    (node,) = after("fuse tables", never & (earlier >= 0.5))
    assert node.domain.values == (False,)
    assert_compiled({"never": never & (earlier >= 0.5)}, longest=3)


def test_rows_that_steps_never_say_are_left_out():
    """A table may be over steps, which are known to say fewer values than what they were made of."""
    late = select(POSITION, 0, ">") & select(POSITION, 2, "!=") & select(TOKEN, "c", "!=")
    found = late.latest(POSITION, default=0)
    assert 2 in found.domain
    (node,) = after("fuse tables", found)
    assert 2 not in node.domain
    assert_compiled({"there": select(POSITION, found).exists()})


def test_a_sum_that_half_precision_does_not_distinguish_is_split():
    """In bfloat16 a table is not made as one large sum where two smaller ones will do."""
    prompts = Prompts("abcdefgh", context=32)
    followed = select(prompts.token.at(-1, default="a"), prompts.token).latest(
        prompts.token, default="a"
    )
    wide = compile_sequences({"it": followed})
    narrow = compile_sequences({"it": followed}, dtype="bfloat16")
    assert len(narrow.circuits.blocks) == len(wide.circuits.blocks) + 1
    text = "abcabdhgfedcbaabbcddeeffgghhaabc"
    assert wide.apply([text])["it"] == narrow.apply([text])["it"] == [followed.trace(text)]
