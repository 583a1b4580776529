"""Heights: what each rule adds so that the first match wins, and which rules are not needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import product
from math import inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handcraft import Program, parse_rules, predict
from handcraft.compiler.rules import overlap
from handcraft.compiler.rules.rank_rules import Contender, Rank, rank
from handcraft.language.patterns.pattern import Pattern
from handcraft.language.rules.rule import Clause
from handcraft.testing import rule_programs


def rank_clauses(clauses: Sequence[Clause], highest: float = inf) -> list[tuple[Clause, Rank]]:
    """The clauses that are needed, with their ranks."""
    rules = [
        Contender(c.pattern, c.token, frozenset({c.token}), c.is_otherwise, is_sure=True)
        for c in clauses
    ]
    return [(clauses[each.rule], each) for each in rank(rules, highest)]


def ranked(text: str) -> list[tuple[str, int]]:
    """The rules that are kept, and their heights."""
    return [(str(clause.rule), each.height) for clause, each in rank_clauses(parse_rules(text).clauses)]


def test_a_rule_is_one_higher_than_the_otherwise_it_outvotes():
    assert ranked("predict b after aa\npredict a otherwise") == [
        ("predict b after aa", 2),
        ("predict a otherwise", 1),
    ]


def test_rules_that_never_meet_do_not_outvote_each_other():
    assert ranked("predict b after aa\npredict c after ba\npredict a otherwise") == [
        ("predict b after aa", 2),
        ("predict c after ba", 2),
        ("predict a otherwise", 1),
    ]


def test_a_rule_outweighs_the_sum_of_all_that_adds_to_one_other_token():
    # After c both rules for a speak, 2 and 2, so b needs 5; each of them needs 2 over d alone.
    text = (
        "vocabulary a b c d\n"
        "predict b after c.c\npredict a after [bc]\npredict a after [cd]\npredict d otherwise"
    )
    assert [height for _, height in ranked(text)] == [5, 2, 2, 1]


def test_a_rule_outvotes_the_strongest_other_token_and_not_all_of_them_together():
    text = (
        "vocabulary a b c d\n"
        "predict a after d.d\npredict b after d.\npredict c after .d\npredict d otherwise"
    )
    # b overlaps c (2) and d (1): 3. a overlaps b (3), c (2) and d (1): 4.
    assert [height for _, height in ranked(text)] == [4, 3, 2, 1]


def test_alternating_rules_that_all_meet_grow_like_fibonacci_numbers():
    rules = [predict("ab"[k % 2]).after("." * k) for k in range(10, 0, -1)]
    heights = [each.height for _, each in rank_clauses(Program("ab", 10, rules).clauses)]
    assert heights == [89, 55, 34, 21, 13, 8, 5, 3, 2, 1]


def test_later_rules_that_never_match_together_are_not_added_up():
    text = (
        "vocabulary a b c d\n"
        "predict b after d.c\npredict a after bc\npredict a after [cd]c\npredict d otherwise"
    )
    assert [height for _, height in ranked(text)] == [3, 2, 2, 1]


def test_a_rule_that_only_repeats_the_otherwise_is_dropped():
    assert ranked("vocabulary a b\npredict a after ab\npredict a otherwise") == [
        ("predict a otherwise", 1)
    ]


def test_a_rule_that_repeats_the_otherwise_is_kept_where_a_later_rule_meets_it():
    text = "vocabulary a b\npredict a after ab\npredict b after b\npredict a otherwise"
    assert [height for _, height in ranked(text)] == [3, 2, 1]


def test_an_anchored_rule_does_not_meet_a_longer_one():
    text = "vocabulary a b\npredict a after start b\npredict b after .b\npredict a otherwise"
    assert [rule for rule, _ in ranked(text)] == ["predict b after .b", "predict a otherwise"]


def test_nothing_is_ranked_where_there_is_nothing():
    assert rank(()) == ()


def check(clauses: list[Clause], size: int, longest: int) -> None:
    """On every context the first match has more height than every other token, by at least 1."""
    found = rank_clauses(clauses)
    for length in range(1, longest + 1):
        for context in product(range(size), repeat=length):
            meant = next((c.token for c in clauses if c.pattern.matches(context)), None)
            if meant is None:
                continue
            votes: Counter[int] = Counter()
            for clause, each in found:
                if clause.pattern.matches(context):
                    votes[clause.token] += each.height
            others = max((votes[t] for t in range(size) if t != meant), default=0)
            assert votes[meant] >= others + 1, (context, meant, votes)


@given(rule_programs(max_tokens=3, max_context=5))
def test_the_first_match_outvotes_every_other_token_on_every_context(program):
    check(list(program.clauses), len(program.vocabulary), program.context)


@st.composite
def clause_lists(draw):
    rule = predict("a").otherwise()
    classes = st.lists(st.frozensets(st.integers(0, 1), min_size=1), max_size=4).map(tuple)
    patterns = st.builds(Pattern, classes, st.booleans()).filter(lambda p: len(p) or not p.anchored)
    clauses = st.builds(Clause, st.integers(0, 1), patterns, st.just(rule))
    return draw(st.lists(clauses, max_size=6))


def clause(token, *classes):
    return Clause(token, Pattern(tuple(map(frozenset, classes)), False), predict("a").otherwise())


@given(clause_lists())
def test_the_first_match_outvotes_the_others_without_an_otherwise_too(clauses):
    check(clauses, 2, 5)


@given(clause_lists(), st.integers(0, 3))
@example([clause(0, {0}, {0}), clause(1, {0}), clause(0, {0}, {0, 1})], 0)
def test_rivals_of_a_veto_are_the_later_rules_that_meet_a_rule_and_predict_something_else(
    clauses, highest
):
    found = rank_clauses(clauses, highest)
    contexts = [c for length in range(1, 6) for c in product(range(2), repeat=length)]
    for i, (clause, each) in enumerate(found):
        against = [j for j in range(i + 1, len(found)) if found[j][0].token != clause.token]
        mine = [c for c in contexts if clause.pattern.matches(c)]
        undecided = [c for c in mine if not any(earlier.pattern.matches(c) for earlier, _ in found[:i])]
        some, needed = (
            {j for j in against if any(found[j][0].pattern.matches(c) for c in texts)}
            for texts in (mine, undecided)
        )
        if each.rivals or not highest:
            assert needed <= set(each.rivals) <= some
        else:
            assert each.height <= highest


ANSWERS = st.sampled_from([*map(frozenset, [(0,), (1,), (2,), (0, 1), (0, 2)])])


@st.composite
def contenders(draw):
    classes = st.lists(st.frozensets(st.integers(0, 1), min_size=1), max_size=3).map(tuple)
    rules = []
    for number in range(draw(st.integers(1, 6))):
        tokens = draw(ANSWERS)
        answer = tokens if len(tokens) == 1 else number // 2  # two rules may predict the same category
        rules.append(Contender(Pattern(draw(classes)), answer, tokens, is_otherwise=False))
    return [*rules, Contender(Pattern(), frozenset({0}), frozenset({0}), is_otherwise=True)]


@given(contenders(), st.sampled_from([0, 1, 3, 1000]), st.sampled_from([2, 20, 1000]), st.data())
def test_whatever_else_rules_ask_the_first_that_fires_outvotes_every_other_token(
    rules, highest, most_squares, data
):
    ranks = rank(rules, highest, most_squares)
    context = data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=4))
    holds = [data.draw(st.booleans()) or rule.is_otherwise for rule in rules]
    choice = {rule.answer: data.draw(st.sampled_from(sorted(rule.tokens))) for rule in rules}
    fires = [holds[i] and rule.pattern.matches(context) for i, rule in enumerate(rules)]
    meant = choice[next(rule.answer for rule, fired in zip(rules, fires, strict=True) if fired)]
    vetoed = {k for each in ranks if each.has_veto and fires[each.rule] for k in each.rivals}
    votes: Counter[int] = Counter()
    for place, each in enumerate(ranks):
        if fires[each.rule] and place not in vetoed:
            votes[choice[rules[each.rule].answer]] += each.height
    assert votes[meant] >= max((n for token, n in votes.items() if token != meant), default=0) + 1
    assert all(each.height <= highest for each in ranks if each.rivals and not each.has_veto)
    assert sum(n * n for n in votes.values()) <= max(each.squares for each in ranks)


def answering(answer: object, *tokens: int) -> Contender:
    return Contender(Pattern(), answer, frozenset(tokens), is_otherwise=False)


@given(contenders(), st.booleans())
@example([answering(0, 0), answering("a", 0, 1), answering("b", 0, 2), answering(2, 2)], True)
def test_a_rule_is_1_above_the_most_that_later_rules_add_to_a_token_but_its_own(rules, exact):
    with pytest.MonkeyPatch.context() as patch:
        if not exact:
            patch.setattr(overlap, "STATES", 0)
        ranks = rank(rules)
    for place, each in enumerate(ranks):
        rule = rules[each.rule]
        own = rule.tokens if len(rule.tokens) == 1 else ()
        later = [x for x in ranks[place + 1 :] if rules[x.rule].answer != rule.answer]
        contexts = _contexts(rule.pattern)
        met = [x for x in later if _contexts(rules[x.rule].pattern) & contexts]
        most = 0
        for token in {0, 1, 2}.difference(own):
            adding = [x for x in (later if exact else met) if token in rules[x.rule].tokens]
            if exact:
                for c in contexts:
                    together = (x.height for x in adding if c in _contexts(rules[x.rule].pattern))
                    most = max(most, sum(together))
            else:
                most = max(most, sum(x.height for x in adding))
        assert each.height == 1 + most


@cache
def _contexts(pattern: Pattern) -> frozenset[tuple[int, ...]]:
    every = (c for length in range(1, 4) for c in product(range(2), repeat=length))
    return frozenset(filter(pattern.matches, every))
