"""A sample says which rules it made decide, and is drawn so that they do."""

from __future__ import annotations

import numpy as np

from handcraft import Program, Prompts, compile_program, predict
from handcraft.verify import verify
from handcraft.verify.exercises import with_patterns

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
    rare = prompts.token == "b"
    for back in range(1, 12):
        rare = rare & (prompts.token.at(-back, default="a") == "b")
    program = Program(
        prompts=prompts, rules=[predict("c").when(rare), predict(prompts.token).otherwise()]
    )
    report = sampled(program, 60)
    assert [each.rule for each in report.unexercised] == [str(program.rules[0])]
    assert report.rules[1].count == 60
    assert report.to_json()["rules"][0]["count"] == 0


def test_counts_are_those_of_the_oracle_rule_by_rule():
    random = np.random.default_rng(0)
    texts = with_patterns(QUIZ)(random.integers(0, 26, size=(40, 12)), random)
    rows, places = np.divmod(np.arange(40 * 12), 12)
    for row, place, rule in zip(rows, places, QUIZ.rules_at(texts, rows, places), strict=True):
        context = texts[row, : place + 1].tolist()
        first = next(i for i, c in enumerate(QUIZ.clauses) if c.pattern.matches(context))
        assert rule == first


def test_all_contexts_need_no_count(model, program):
    assert verify(model, program).rules == ()
