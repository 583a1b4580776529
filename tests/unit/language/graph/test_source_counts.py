"""How many sources a selection has: what each lemma needs, what is proved, and what must not be."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from short_texts import after, every_text, kinds
from sweeps import sweep

from handcraft import Prompts, Selection, lookup, select
from handcraft.errors import AssumptionError
from handcraft.language.graph.source_counts import finds_one, is_always, selects_itself, source_counts

CAUSAL = Prompts("abc", context=4)
BOTH_WAYS = Prompts("abc", context=4, causal=False)


def proved(selection: Selection) -> bool:
    """Whether it is proved; a proof is right on every short text."""
    is_proved = surely_one(selection)
    if is_proved:
        count = selection.count()
        for text in every_text(selection.prompts):
            assert set(count.trace(text)) == {1}, text
    return is_proved


def surely_one(selection: Selection) -> bool:
    prompts = selection.prompts
    return finds_one(selection.sources, prompts.context, prompts.causal)


def length(prompts: Prompts):
    return prompts.everything.count()


def told_apart(prompts: Prompts):
    """A key that no two positions share."""
    return lookup(lambda x, i: 4 * "bac".index(x) + i, prompts.token, prompts.position)


@pytest.mark.parametrize("prompts", [CAUSAL, BOTH_WAYS], ids=["causal", "both ways"])
def test_this_position_and_the_first_are_always_there(prompts):
    assert proved(select(prompts.position, prompts.position))
    assert proved(select(prompts.position, 0))
    assert proved(select(prompts.position, prompts.position // 2))


@pytest.mark.parametrize("prompts", [CAUSAL, BOTH_WAYS], ids=["causal", "both ways"])
def test_a_position_that_a_short_text_does_not_have_is_not_proved(prompts):
    assert not proved(select(prompts.position, 1))
    assert not proved(select(prompts.position, prompts.position - 1))
    assert not proved(select(prompts.position, prompts.position + 1))


@pytest.mark.parametrize("prompts", [CAUSAL, BOTH_WAYS], ids=["causal", "both ways"])
def test_the_last_position_and_the_opposite_one_are_always_there(prompts):
    assert proved(select(prompts.position, length(prompts) - 1))
    assert proved(select(prompts.position, length(prompts) - 1 - prompts.position))


@pytest.mark.parametrize("prompts", [CAUSAL, BOTH_WAYS], ids=["causal", "both ways"])
def test_a_position_past_the_end_is_not_proved(prompts):
    assert not proved(select(prompts.position, length(prompts)))
    assert not proved(select(prompts.position, length(prompts) - prompts.position))


def test_a_position_from_another_count_is_not_proved():
    seen = select(CAUSAL.token, CAUSAL.token).count()
    assert not proved(select(CAUSAL.position, seen - 1))


def test_a_position_that_depends_on_the_token_is_not_proved():
    place = CAUSAL.token.map({"a": 0, "b": 0, "c": 1})
    assert not proved(select(CAUSAL.position, place))


@pytest.mark.parametrize("prompts", [CAUSAL, BOTH_WAYS], ids=["causal", "both ways"])
@pytest.mark.parametrize("twice", [False, True])
def test_sums_are_proved_exactly_where_every_length_and_position_lies_within(prompts, twice):
    for of_position, of_length, constant in product((-2, -1, 0, 1, Fraction(1, 2)), repeat=3):
        place = prompts.position * of_position + length(prompts) * of_length + constant
        place = place + prompts.position % 2 if twice else place
        is_within = all(
            0 <= value < len(text) for text in every_text(prompts) for value in place.trace(text)
        ) and all(isinstance(value, int) for text in every_text(prompts) for value in place.trace(text))
        assert proved(select(prompts.position, place)) == is_within, place


def test_a_sum_that_is_whole_only_together_is_proved():
    half = lookup(lambda i: Fraction(i, 2), BOTH_WAYS.position)
    assert proved(select(BOTH_WAYS.position, half + BOTH_WAYS.position % 2 - half))


@pytest.mark.parametrize("causal", [False, True])
def test_sums_are_proved_in_long_contexts(causal):
    long = Prompts("ab", context=1024, causal=causal)
    for place in (length(long) - 1 - long.position, length(long) - 1, long.position // 2):
        assert surely_one(select(long.position, place))
    for place in (length(long) - long.position, long.position + 1):
        assert not surely_one(select(long.position, place))


def test_other_functions_of_position_and_length_are_not_tried_in_long_contexts():
    for context in (100, 200):
        long = Prompts("ab", context=context, causal=False)
        middle = lookup(lambda i, n: min(i, n // 2), long.position, length(long))
        found = surely_one(select(long.position, middle))
        assert found == (context == 100)


def test_what_an_assumption_excludes_need_not_be_within():
    early = BOTH_WAYS.position.assume([0, 1])
    for place, is_within in ((early * 3 - early % 2 * 2, True), (1 - early, False)):
        assert surely_one(select(BOTH_WAYS.position, place)) == is_within


@pytest.mark.parametrize("relation", ["<", ">"])
def test_the_rank_among_different_keys_takes_every_place_once(relation):
    key = told_apart(BOTH_WAYS)
    assert proved(select(select(key, key, relation).count(), BOTH_WAYS.position))


def test_the_rank_by_position_alone_takes_every_place_once():
    i = BOTH_WAYS.position
    assert proved(select(select(i, i, ">").count(), i))


NOT_ALL_PLACES = {
    "keys that may be equal": lambda u, t, i: select(select(t.map(ord), t.map(ord), "<").count(), i),
    "a count from 1": lambda u, t, i: select(select(u, u, "<=").count(), i),
    "another relation": lambda u, t, i: select(select(u, u, "<").count(), i, "<="),
    "another query": lambda u, t, i: select(select(u, u, "<").count(), i + 1),
    "a rank less 1": lambda u, t, i: select(select(u, u, "<").count() - 1, i),
    "keys beside other queries": lambda u, t, i: select(select(u, u + 1, "<").count(), i),
    "two conditions": lambda u, t, i: select(select(u, u, "<").count(), i) & select(t, t),
    "either of two": lambda u, t, i: select(select(u, u, "<").count(), i) | select(t, "a"),
    "no count": lambda u, t, i: select(u % 8, i),
}


@pytest.mark.parametrize("choose", NOT_ALL_PLACES.values(), ids=NOT_ALL_PLACES)
def test_what_is_no_rank_among_all_is_not_proved(choose):
    assert not proved(choose(told_apart(BOTH_WAYS), BOTH_WAYS.token, BOTH_WAYS.position))


def test_a_key_that_differs_everywhere_and_is_its_own_query_is_proved():
    assert proved(select(told_apart(BOTH_WAYS) % 4, BOTH_WAYS.position))


def test_a_rank_is_not_proved_where_later_positions_are_not_seen():
    key = told_apart(CAUSAL)
    assert not proved(select(select(key, key, "<").count(), CAUSAL.position))


def test_what_is_proved_needs_no_default():
    opposite = select(BOTH_WAYS.position, length(BOTH_WAYS) - 1 - BOTH_WAYS.position)
    (node,) = after("fuse tables", opposite.latest(BOTH_WAYS.token, default="a"))
    assert kinds(node)["Attend"] == 2, "one head brings the length, one the token"


def test_what_is_proved_surely_exists():
    opposite = select(BOTH_WAYS.position, length(BOTH_WAYS) - 1 - BOTH_WAYS.position)
    (node,) = after("lower aggregates", opposite.exists())
    assert kinds(node) == {"Constant": 1}


ITSELF = {
    "needs a condition that holds of both values": (
        lambda t, i: select(t, t),
        lambda t, i: select(t, t, "!="),
    ),
    "needs values that can occur together": (
        lambda t, i: select(t.map({"a": 0, "b": 1, "c": 1}), t.map({"a": 0, "b": 1, "c": 2}), "<="),
        lambda t, i: select(t.map({"a": 1, "b": 0, "c": 1}), t.map({"a": 0, "b": 1, "c": 2}), "<="),
    ),
    "needs one of its cases only": (
        lambda t, i: select(t, "a") | ~select(t, "a"),
        lambda t, i: select(t, "a") | select(t, "b"),
    ),
}


@pytest.mark.parametrize(("enough", "missing"), ITSELF.values(), ids=ITSELF)
def test_a_position_selects_itself(enough, missing):
    token, position = CAUSAL.token, CAUSAL.position
    assert selects_itself(*enough(token, position).sources.cases)
    assert is_always(enough(token, position).sources)
    assert not selects_itself(*missing(token, position).sources.cases)
    assert not is_always(missing(token, position).sources)


APART = {
    "needs keys that differ everywhere": (lambda u, t, i: (u, t.map(ord)), lambda u, t, i: (i % 2, i)),
    "needs a table that keeps them apart": (
        lambda u, t, i: (i.map(lambda n: (n * 3) % 4), t.map({"a": 0, "b": 1, "c": 2})),
        lambda u, t, i: (i.map(lambda n: n // 2), t.map({"a": 0, "b": 1, "c": 2})),
    ),
    "needs a rank among different keys": (
        lambda u, t, i: (select(u, u, "<=").count(), t.map({"a": 0, "b": 1, "c": 2})),
        lambda u, t, i: (select(t, t).count(), t.map({"a": 0, "b": 1, "c": 2})),
    ),
}


@pytest.mark.parametrize(("enough", "missing"), APART.values(), ids=APART)
def test_at_most_one_source_has_a_key(enough, missing):
    args = told_apart(BOTH_WAYS), BOTH_WAYS.token, BOTH_WAYS.position
    for keys, single in ((enough, True), (missing, False)):
        sources = select(*keys(*args)).sources
        assert source_counts(sources, BOTH_WAYS.context, causal=False).single is single
        more = select(*keys(*args), "<=").sources
        assert not source_counts(more, BOTH_WAYS.context, causal=False).single


def test_sources_are_counted_where_no_token_decides_of_them():
    i, n = BOTH_WAYS.position, length(BOTH_WAYS)
    counted = source_counts((select(i, i - 1) | select(i, i + 2)).sources, 4, causal=False)
    assert (counted.single, counted.exists) == (False, None), "a longer text has more of them"
    counted = source_counts((select(i, i - 1) | select(i, i - 2)).sources, 4, causal=False)
    assert (counted.single, counted.exists) == (False, (False, True, True, True))
    assert source_counts((select(i, 0) & select(n, n)).sources, 4, causal=False).always
    by_token = source_counts((select(i, i - 1) & select(BOTH_WAYS.token, "a")).sources, 4, causal=False)
    assert (by_token.single, by_token.exists) == (True, None)


def test_no_more_is_counted_than_there_are_combinations_to_try():
    for context in (100, 200):
        long = Prompts("ab", context=context, causal=False)
        middle = lookup(lambda i, n: min(i, n // 2), long.position, length(long))
        counted = source_counts(select(long.position, middle, "<=").sources, context, causal=False)
        assert (counted.exists is None) == (context == 200)


@st.composite
def selections(draw: st.DrawFn, prompts: Prompts) -> Selection:
    """A selection by tokens, positions, lengths and ranks, and by what is computed from them."""
    token, position, size = (
        prompts.token.map({"a": 0, "b": 1, "c": 1}),
        prompts.position,
        length(prompts),
    )
    apart = told_apart(prompts)
    rank = st.sampled_from(["<", "<=", ">"]).map(lambda by: select(apart, apart, by).count())
    parts = [token, position, position % 2, size, size - 1 - position, position.assume([0, 1]), apart]
    numbers = st.one_of(st.sampled_from(parts), rank, st.integers(-1, 3).map(prompts.constant))

    def one() -> Selection:
        key, query = draw(numbers), draw(numbers) + draw(st.integers(-1, 1))
        if draw(st.integers(0, 3)) == 0:
            return select(key, query, lambda k, q: (k + q) % 3 == 1)
        return select(key, query, draw(st.sampled_from(["==", "==", "==", "!=", "<=", ">"])))

    how = draw(st.sampled_from(["one", "one", "one", "both", "either", "not"]))
    if how == "both":
        return one() & one()
    return ~one() if how == "not" else one() | one() if how == "either" else one()


@settings(max_examples=sweep(300), deadline=None)
@given(data=st.data(), causal=st.booleans())
def test_what_is_proved_is_right_of_every_short_text(data, causal):
    prompts = CAUSAL if causal else BOTH_WAYS
    selection = data.draw(selections(prompts))
    counts, one = source_counts(selection.sources, prompts.context, causal), surely_one(selection)
    event(f"single {counts.single}, exists {counts.exists is not None}, one {one}")
    always, itself = is_always(selection.sources), selects_itself(*selection.sources.cases)
    count = selection.count()
    for text in every_text(prompts):
        try:
            found = count.trace(text)
        except AssumptionError:
            continue
        assert not counts.single or max(found) <= 1
        assert counts.exists is None or tuple(n > 0 for n in found) == counts.exists[: len(text)]
        assert not (always or itself) or min(found) > 0
        assert not one or set(found) == {1}
