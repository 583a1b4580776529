"""A sample says which rules it made decide, and is drawn so that they do."""

from __future__ import annotations

import numpy as np

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.language.graph import attend
from handcraft.language.oracle.interpret import interpret
from handcraft.verify import verify
from handcraft.verify.texts.mixed import change_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"

QUIZ = Program(
    LETTERS,
    12,
    [
        predict("b").after("quiz"),
        predict("c").after("start zyxw"),
        predict("d").after("[ac]a"),
        predict("a").otherwise(),
    ],
)


def seldom(prompts):
    """A flag that next to no text makes hold: so many of one token, and of another as many."""
    counts = [select(prompts.token, token).count() == 13 for token in "bc"]
    return counts[0] & counts[1] & (prompts.position == 28)


def sampled(program, count=400):
    return verify(
        compile_program(program, architecture="block").model, program, every_up_to=0, sample=count
    )


def test_rules_for_long_words_decide_in_a_small_sample():
    report = sampled(QUIZ)
    assert report.unexercised == ()
    assert sum(each.count for each in report.rules) == report.tried == 400
    assert dict(report.answers)["b"] == report.rules[0].count > 0
    assert dict(report.answers)["z"] == 0


def test_a_rule_that_never_decides_is_listed():
    prompts = Prompts("abcdef", context=30)
    rare = seldom(prompts)
    program = Program(
        prompts=prompts, rules=[predict("c").when(rare), predict(prompts.token).otherwise()]
    )
    report = sampled(program, 60)
    assert [each.rule for each in report.unexercised] == [str(program.rules[0])]
    assert report.rules[1].count == 60
    assert report.to_json()["rules"][0]["count"] == 0


def test_counts_are_those_of_the_oracle_rule_by_rule():
    random = np.random.default_rng(0)
    texts = change_of(QUIZ)(random.integers(0, 26, size=(40, 12)), random)
    rows, places = np.divmod(np.arange(40 * 12), 12)
    for row, place, rule in zip(rows, places, QUIZ.rules_at(texts, rows, places), strict=True):
        context = texts[row, : place + 1].tolist()
        first = next(i for i, c in enumerate(QUIZ.clauses) if c.pattern.matches(context))
        assert rule == first


def test_what_a_selection_found_is_counted_at_every_position_that_was_judged():
    prompts = Prompts("abcdef", context=8)
    before = prompts.token.at(-1, default="a")
    seen = select(prompts.token, "f").exists() | select(before, prompts.token).exists()
    program = Program(
        prompts=prompts,
        rules=[predict("b").when(seen & (before == "b")), predict(prompts.token).otherwise()],
    )
    texts = np.random.default_rng(0).integers(0, 6, size=(30, 8))
    rows, places = np.divmod(np.arange(30 * 8), 8)
    kept = places < 5  # what stands behind is not judged
    counts = program.selected_at(texts, rows[kept], places[kept])
    assert len(counts) == 3
    for node, (some, none) in zip(program.selections, counts, strict=True):
        exists = attend.aggregate(node.sources, "exists", None, attend.NONE, node.text, 8)
        meant = [
            value
            for text in texts[:, :5].tolist()
            for value in interpret([exists], ["abcdef"[token] for token in text], causal=True)[0]
        ]
        assert (some, none) == (sum(meant), len(meant) - sum(meant))


def test_a_selection_that_never_selects_is_listed_and_one_that_always_does():
    prompts = Prompts("abcdef", context=30)
    rare = select(seldom(prompts), True).exists()
    word = select(prompts.token, prompts.token).count() >= 3
    known = select(prompts.position, prompts.position, "<=").latest(prompts.token)
    program = Program(
        prompts=prompts,
        rules=[
            predict("a").when(rare),
            predict("b").when(word),
            predict(known).when(prompts.position >= 3),
            predict("c").otherwise(),
        ],
    )
    report = sampled(program, 1500)
    assert [each.always for each in report.selections[-2:]] == [True, True]
    assert report.always_selected == ()
    (never,) = report.never_selected
    assert never.selection.startswith("rare = select(")
    assert never.selection.endswith(".exists()")
    assert never.place.startswith("test_exercises.py:")
    assert [each["some"] for each in report.to_json()["selections"]].count(0) == 1


def test_a_default_that_no_position_took_is_listed():
    prompts = Prompts("ab", context=12, inputs="a[ab]{11}")
    first = select(prompts.token, "a").latest(prompts.position, default=0)
    program = Program(prompts=prompts, rules=[predict("b").when(first >= 1), predict("a").otherwise()])
    report = verify(compile_program(program).model, program, every_up_to=0, sample=50)
    assert [each.none for each in report.always_selected] == [0]
    assert report.never_selected == ()


def test_all_contexts_need_no_count(model, program):
    report = verify(model, program)
    assert report.rules == report.selections == ()
