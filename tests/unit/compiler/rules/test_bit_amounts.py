"""What rules add to the bits of their answers: the first that fires decides every sign."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Program, Prompts, compile_program, predict
from handcraft.compiler.rules import overlap
from handcraft.compiler.rules.amounts import find_amounts, largest_sums
from handcraft.compiler.rules.overlap import OverlapIndex
from handcraft.compiler.rules.rank_rules import Contender
from handcraft.language.patterns.pattern import Pattern
from handcraft.testing import assert_agreement

SIZE, BITS = 3, 2
CONTEXTS = [c for n in range(1, 5) for c in product(range(SIZE), repeat=n)]
CLASSES = st.lists(st.frozensets(st.integers(0, SIZE - 1), min_size=1), max_size=3).map(tuple)
PATTERNS = st.builds(Pattern, CLASSES, st.booleans()).filter(lambda p: len(p) or not p.anchored)
ANSWERS = st.sampled_from([(-1, -1), (-1, 1), (1, -1), (1, 1), (1, 0), (0, 0)])


@st.composite
def drawn_rules(draw):
    """Rules, and the bits of their answers; answers that are computed may be those of two rules.

    Only the last one always fires: programs have no rules behind one that does.
    """
    answers = draw(st.lists(ANSWERS, min_size=1, max_size=6))
    rules = []
    for number, answer in enumerate(answers):
        pattern = draw(PATTERNS.filter(len)) if number < len(answers) - 1 else Pattern()
        name = (answer, number // 2) if 0 in answer else answer
        is_sure = not len(pattern) or draw(st.booleans())
        rules.append(Contender(pattern, name, frozenset(), not len(pattern), is_sure))
    return rules, answers


def index_of(rules):
    return OverlapIndex.of(rule.pattern for rule in rules)


def added(rules, answers, amounts, fires, bits) -> list[int]:
    """The sum of each bit, where some rules fire and computed bits are those of their answer."""
    vetoed = {k for i, each in enumerate(amounts) if fires[i] for k in each.rivals}
    total = [0] * BITS
    for i, rule in enumerate(rules):
        if fires[i] and i not in vetoed:
            for b, (sign, number) in enumerate(zip(answers[i], amounts[i].bits, strict=True)):
                total[b] += number if sign else number * bits[rule.answer][b]
    return total


@given(drawn_rules(), st.sampled_from([(1, 2), (2, 4), (5, 6), (9, 9)]), st.booleans(), st.data())
def test_every_sum_has_the_sign_of_the_answer_of_the_first_rule_that_fires(drawn, limits, exact, data):
    (rules, answers), (most, in_all) = drawn, limits
    with pytest.MonkeyPatch.context() as patch:
        if not exact:
            patch.setattr(overlap, "STATES", 0)
        amounts = find_amounts(rules, index_of(rules), answers, most, in_all)
    bits = {r.answer: data.draw(st.tuples(*[st.sampled_from([1, -1])] * BITS)) for r in rules}
    maybe = [data.draw(st.booleans()) or rule.is_sure for rule in rules]
    context = data.draw(st.sampled_from(CONTEXTS))
    fires = [may and rule.pattern.matches(context) for may, rule in zip(maybe, rules, strict=True)]
    first = fires.index(True)
    total = added(rules, answers, amounts, fires, bits)
    for b, sign in enumerate(answers[first]):
        meant = sign or bits[rules[first].answer][b]
        assert total[b] * meant >= 1
    if not amounts[first].has_veto:
        assert max(map(abs, total)) <= most
        assert sum(map(abs, total)) <= in_all
    after_some = [fired and data.draw(st.booleans()) for fired in fires]
    sums = largest_sums(rules, index_of(rules), answers, amounts)
    for b, number in enumerate(added(rules, answers, amounts, after_some, bits)):
        least, largest = sums[b]
        assert least <= number <= largest


def test_rules_that_add_alike_to_a_computed_bit_do_not_add_too_much_together():
    """A second rule with the same answer adds nothing against the first, but to it."""
    pattern = Pattern((frozenset({0}),))
    rules = [
        Contender(pattern, "one", frozenset(), is_otherwise=False, is_sure=True),
        Contender(Pattern(), "one", frozenset(), is_otherwise=True, is_sure=True),
    ]
    answers = [(0, 0), (0, 0)]
    first, _ = find_amounts(rules, index_of(rules), answers, 1, 2)
    assert first.has_veto or max(first.bits) + 1 <= 1


A, B, C, D = (-1, -1), (-1, 1), (1, -1), (1, 1)


def written(*rules) -> list[tuple[int, ...]]:
    """What rules add, each a pattern over a, b, c and d with an answer; the last rule predicts `A`."""
    patterns = [
        Pattern(tuple(frozenset(map("abcd".index, allowed)) for allowed in pattern.split("-")))
        for pattern, _ in rules
    ]
    answers = [*(answer for _, answer in rules), A]
    contenders = [
        Contender(pattern, answer, frozenset(), not len(pattern), is_sure=True)
        for pattern, answer in zip([*patterns, Pattern()], answers, strict=True)
    ]
    return [each.bits for each in find_amounts(contenders, index_of(contenders), answers, 1000, 1000)]


def test_of_rules_that_stand_in_for_each_other_each_replaces_the_answer_of_the_next():
    assert written(("a-b-c", D), ("b-c", C), ("c", B)) == [(0, 2), (2, -2), (0, 2), A]


def test_a_rule_whose_answer_is_there_already_adds_nothing():
    assert written(("a-a-b", D), ("b-a-b", C), ("a-b", D), ("b", C))[0] == (0, 0)


def test_only_where_patterns_overlap_in_part_sums_grow():
    partly = written(("b-c", B), ("ab-c", D), ("bc-c", C))
    assert partly == [(-4, 0), (2, 2), (2, 0), A], (
        "both of the later two add 2 to the first bit after bc"
    )
    assert written(("b-c", B), ("a-c", D), ("bc-c", C))[0] == (-2, 2)


def test_contexts_that_an_earlier_rule_hides_do_not_count():
    assert written(("b-c", A), ("ab-c", B), ("bc-c", C))[1] == (0, 2)
    assert written(("ab-c", B), ("bc-c", C))[0] == (-2, 2)


def test_a_rule_that_the_passes_find_to_fire_always_adds_to_what_later_ones_add():
    prompts = Prompts("abcdefghijklmnopqr", context=2)
    always = (prompts.token == "c").at(-2, default=True).at_position(0, default=True)
    rules = [predict("h").after("[^kjmqdl]"), predict("b").when(always), predict("a").otherwise()]
    program = Program(prompts=prompts, rules=rules)
    for architecture in ("block", "gpt2"):
        assert_agreement(compile_program(program, architecture=architecture))


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_long_chains_of_rules_are_right_in_every_dtype(architecture, dtype):
    rules = [predict("ab"[k % 2]).after("a" * k) for k in range(40, 0, -1)]
    program = Program("ab", 40, [*rules, predict("b").otherwise()])
    found = compile_program(
        program, architecture=architecture, dtype=dtype, tokens="binary", n_positions=40
    )
    assert_agreement(found, every_up_to=500, sample=500)
