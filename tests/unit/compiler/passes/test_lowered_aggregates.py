"""Selections become heads and steps: what is merged, split, turned and left out on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from short_texts import after, assert_same, kinds, setting_of

from handcraft import Prompts, lookup, select, window
from handcraft.compiler.passes.aggregates.lower_aggregates import lower_aggregates
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import Attend, StepFunction
from handcraft.errors import CompileError
from handcraft.language.graph.node import Comparison, Constant, Lookup, Node, walk

CAUSAL = Prompts("abc", context=4)
BOTH_WAYS = Prompts("abc", context=4, causal=False)
RANKS = {"a": 2, "b": 1, "c": 3}


def lowered(*expressions, soft=False) -> list[Node]:
    """The trees after the pass, which keeps every value and leaves no aggregate."""
    prompts = expressions[0].prompts
    shared = rebuild([expression.node for expression in expressions])
    found = lower_aggregates(shared, replace(setting_of(prompts), soft=soft))
    assert not kinds(*found)["Aggregate"]
    assert_same(prompts, [expression.node for expression in expressions], found)
    return found


def heads(*roots: Node) -> list[Attend]:
    return [node for node in walk(*roots) if isinstance(node, Attend)]


def step_functions(*roots: Node) -> list[StepFunction]:
    return [node for node in walk(*roots) if isinstance(node, StepFunction)]


EVERY_KIND = {
    "everything": lambda t, i, s: s(i, i, ">=") | s(i, i, "<"),
    "itself": lambda t, i, s: s(i, i),
    "earlier": lambda t, i, s: s(i, i, "<"),
    "later": lambda t, i, s: s(i, i, ">"),
    "one back": lambda t, i, s: s(i, i - 1),
    "never": lambda t, i, s: s(i, i, lambda k, q: False),
    "equal": lambda t, i, s: s(t, t),
    "other": lambda t, i, s: s(t, t, "!="),
    "a": lambda t, i, s: s(t, "a"),
    "not a": lambda t, i, s: s(t, "a", "!="),
    "as before": lambda t, i, s: s(t, t.at(-1, default="a")),
    "smaller": lambda t, i, s: s(t.map(RANKS), t.map(RANKS), "<"),
    "not smaller": lambda t, i, s: s(t.map(RANKS), t.map(RANKS), ">="),
    "equal and earlier": lambda t, i, s: s(t, t) & s(i, i, "<"),
    "equal and a": lambda t, i, s: s(t, t) & s(t, "a"),
    "a and not first": lambda t, i, s: s(t, "a") & s(i, 0, ">"),
    "a or itself": lambda t, i, s: s(t, "a") | s(i, i),
    "equal or smaller": lambda t, i, s: s(t, t) | s(t.map(RANKS), t.map(RANKS), "<"),
    "not both": lambda t, i, s: ~(s(t, t) & s(i, i, "<")),
    "a relation": lambda t, i, s: s(t, i, lambda k, q: ord(k) % 3 == q),
}

LEARNT = {
    "count": lambda p, s: s.count(),
    "exists": lambda p, s: s.exists(),
    "mean": lambda p, s: s.mean(p.position, default=9),
    "mean of a flag": lambda p, s: s.mean(p.token == "a", default=0),
    "latest": lambda p, s: s.latest(p.position, default=9),
    "earliest": lambda p, s: s.earliest(p.token, default="c"),
}


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both ways"])
@pytest.mark.parametrize("learn", LEARNT.values(), ids=LEARNT)
@pytest.mark.parametrize("choose", EVERY_KIND.values(), ids=EVERY_KIND)
def test_every_kind_of_aggregate_keeps_its_meaning(choose, learn, causal):
    prompts = CAUSAL if causal else BOTH_WAYS
    lowered(learn(prompts, choose(prompts.token, prompts.position, select)))


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both ways"])
@pytest.mark.parametrize("choose", EVERY_KIND.values(), ids=EVERY_KIND)
def test_a_count_by_soft_attention_keeps_its_meaning_and_takes_no_more_heads(choose, causal):
    prompts = CAUSAL if causal else BOTH_WAYS
    count = choose(prompts.token, prompts.position, select).count()
    assert len(heads(*lowered(count, soft=True))) <= len(heads(*lowered(count)))


def test_what_never_selects_takes_no_head():
    position = CAUSAL.position
    never = select(position, position, ">") | select(position, position, lambda key, query: False)
    nodes = lowered(*(learn(CAUSAL, never) for learn in LEARNT.values()))
    assert all(isinstance(node, Constant) for node in nodes)
    assert [node.value for node in nodes] == [0, False, 9, 0, 9, "c"]


def test_an_aggregate_within_an_aggregate_keeps_its_meaning():
    t, i = CAUSAL.token, CAUSAL.position
    seen = select(t, t).count()
    lowered(select(seen, seen, "<").mean(seen, default=0), seen.at(-1, default=0), seen == i)


# counts


def test_a_count_of_positions_is_a_table_of_the_position():
    (node,) = lowered(select(CAUSAL.position, CAUSAL.position, "<=").count())
    assert kinds(node) == {"Lookup": 1, "Embedded": 1}


def test_the_count_of_earlier_positions_is_the_position():
    (node,) = lowered(select(CAUSAL.position, CAUSAL.position, "<").count())
    assert kinds(node) == {"Embedded": 1}


def test_a_count_of_a_constant_query_is_read_from_a_fraction():
    (node,) = lowered(select(CAUSAL.token, "a").count())
    assert isinstance(node, StepFunction)
    assert [head.case for head in heads(node)] == [(), ()]
    assert {head.slack for head in heads(node)} == {0}


def test_a_count_of_what_holds_of_itself_needs_no_proof_that_there_is_any():
    (node,) = lowered(select(CAUSAL.token, CAUSAL.token).count())
    assert {head.picks for head in heads(node)} == {"mean"}


def test_a_count_that_may_be_0_is_gated_by_existence():
    (node,) = lowered(select(CAUSAL.token, CAUSAL.token.at(-1, default="a")).count())
    assert "latest" in {head.picks for head in heads(node)}


def relations(*roots: Node) -> set[Comparison]:
    return {match.relation for head in heads(*roots) for match in head.case}


@pytest.mark.parametrize(
    ("strict", "turned"), [("<", Comparison.GEQ), (">", Comparison.LEQ)], ids=["<", ">"]
)
def test_a_strict_count_is_all_less_those_on_the_other_side(strict, turned):
    key = BOTH_WAYS.token.map(RANKS)
    (node,) = lowered(select(key, key, strict).count())
    assert relations(node) == {turned}
    assert {head.picks for head in heads(node)} == {"mean"}, "nobody has to ask whether there is any"


def test_a_strict_count_of_one_thing_compared_with_another_stays_as_it_is():
    key = BOTH_WAYS.token.map(RANKS)
    (node,) = lowered(select(key, BOTH_WAYS.position, "<").count())
    assert Comparison.LT in relations(node)


def test_earlier_equal_ones_are_counted_with_this_one_and_1_is_subtracted():
    here = select(CAUSAL.position, CAUSAL.position, "<")
    (node,) = lowered((select(CAUSAL.token, CAUSAL.token) & here).count())
    assert {head.picks for head in heads(node)} == {"mean"}
    assert isinstance(node, Lookup), "1 less is another number of the same step function"
    assert all(less == count - 1 for (count,), less in node.table.items())


MANY = Prompts("abcdefghijklmnop", context=4, causal=False)


def ranked(prompts: Prompts):
    """A number that no two positions share: the token decides, the position breaks ties."""
    return lookup(lambda x, i: prompts.context * ord(x) + i, prompts.token, prompts.position)


@pytest.mark.parametrize("relation", ["<", "<=", ">", ">="])
def test_an_order_of_pairs_is_split_in_what_decides_and_what_breaks_ties(relation):
    key = ranked(MANY)
    nodes = lower_aggregates(rebuild([select(key, key, relation).count().node]), setting_of(MANY))
    assert_same(MANY, [select(key, key, relation).count().node], nodes, longest=2)
    widest = max(len(match.key.domain.values) for head in heads(*nodes) for match in head.case)
    assert (len(key.domain.values), widest) == (64, 16)


def test_an_order_of_few_pairs_is_not_split():
    key = ranked(BOTH_WAYS)
    (node,) = lowered(select(key, key, "<=").count())
    assert {len(match.key.domain.values) for head in heads(node) for match in head.case} == {12}


def test_what_is_no_order_of_pairs_is_not_split():
    mixed = lookup(
        lambda x, i: ord(x) * 7 % 16 * 4 + (i if x < "h" else 3 - i), MANY.token, MANY.position
    )
    assert len(mixed.domain.values) == 64
    nodes = lower_aggregates(rebuild([select(mixed, mixed, "<=").count().node]), setting_of(MANY))
    assert 64 in {len(match.key.domain.values) for head in heads(*nodes) for match in head.case}


# means


def test_means_over_the_same_sources_are_one_mean_of_a_sum():
    t, i = CAUSAL.token, CAUSAL.position
    past = select(i, i, "<=")
    (node,) = lowered(past.mean(t == "a") - past.mean(t == "b") * 2 + 1)
    assert len(heads(node)) == 1


def test_means_over_the_same_sources_are_merged_however_they_are_written():
    t, i = CAUSAL.token, CAUSAL.position
    (node,) = lowered(select(i, i, "<=").mean(t == "a") + CAUSAL.everything.mean(i))
    assert len(heads(node)) == 1


def test_means_over_other_sources_stay_apart():
    flag = CAUSAL.token == "a"
    (node,) = lowered(window(2).mean(flag) + window(3).mean(flag))
    assert len(heads(node)) == 2


# existence and defaults


def test_existence_among_positions_is_a_table_of_the_position():
    (node,) = lowered(select(CAUSAL.position, CAUSAL.position, "<").exists())
    assert kinds(node) == {"Lookup": 1, "Embedded": 1}


def test_existence_for_a_constant_query_is_one_threshold_on_a_fraction():
    (node,) = lowered(select(CAUSAL.token, "a").exists())
    assert isinstance(node, StepFunction)
    assert (len(node.thresholds), [head.picks for head in heads(node)]) == (1, ["mean"])


def test_existence_else_is_read_from_the_key_of_the_source_that_fits_best():
    before = CAUSAL.token.at(-1, default="a")
    (node,) = lowered(select(CAUSAL.token, before).exists())
    assert [str(head.value) for head in heads(node) if head.picks == "latest"].count("token") == 2


@pytest.mark.parametrize(("how", "value"), [("exists", False), ("count", 0), ("latest", 7)])
def test_a_selection_that_never_holds_is_a_constant(how, value):
    never = select(CAUSAL.position, CAUSAL.position, lambda k, q: False) & select(CAUSAL.token, "a")
    learn = {"exists": never.exists, "count": never.count}
    expression = learn[how]() if how in learn else never.latest(CAUSAL.position, default=7)
    (node,) = rebuild(lowered(expression))
    assert isinstance(node, Constant)
    assert (node.value, type(node.value)) == (value, type(value))


def test_a_default_is_a_table_of_whether_there_is_any_and_what_was_found():
    (node,) = lowered(select(CAUSAL.token, "a").latest(CAUSAL.position, default=7))
    assert isinstance(node, Lookup)
    assert {value for row, value in node.table.items() if row[0] is False} == {7}


def test_a_source_that_is_always_there_needs_no_default():
    fixed = CAUSAL.token.at_position(0, default="c")
    (node,) = lowered(fixed)
    assert isinstance(node, Attend)


def test_several_cases_are_one_condition_on_joint_values():
    t, i = CAUSAL.token, CAUSAL.position
    (node,) = lowered((select(t, "a") | select(i, i)).latest(t))
    assert {len(head.case) for head in heads(node)} == {1}


def test_more_joint_values_than_a_head_should_distinguish_are_refused():
    big = Prompts([f"t{k}" for k in range(50)], context=100)
    t, i = big.token, big.position
    several = select(t, t) | select(i, i - 3)
    with pytest.raises(CompileError, match=r"selects by 5,000 joint values") as caught:
        lower_aggregates(rebuild([several.latest(t).node]), setting_of(big))
    assert str(several) in str(caught.value)


@pytest.mark.parametrize("relation", ["<", "<=", "==", "!="])
def test_a_count_that_positions_decide_is_a_table_of_the_position(relation):
    position = Prompts("ab", context=5).position
    (node,) = after("lower aggregates", select(position, position, relation).count())
    assert kinds(node).keys() <= {"Embedded", "Lookup", "Constant"}
