"""Rule files that say more than patterns: what each sentence means, and that it is written again."""

from __future__ import annotations

import warnings
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Program, Prompts, parse_rules, predict, select
from handcraft.errors import (
    HandcraftWarning,
    ProgramError,
    RuleSyntaxError,
    SeveralErrors,
    VocabularyError,
)
from handcraft.language import Rule, parse_one_liner, write_rules
from handcraft.language.pattern import escape
from handcraft.language.phrase import NoWordsError

SETTING = "vocabulary a b c\ncontext 5\n"
PROMPTS = Prompts("abc", context=5)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
TEXTS = ["".join(letters) for n in (1, 2, 3, 5) for letters in product("abc", repeat=n)]


def read(text: str, file: str = "my.rules") -> Program:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        return parse_rules(text, file)


def assert_same(one: Program, other: Program) -> None:
    assert one.vocabulary == other.vocabulary
    assert one.context == other.context
    for text in TEXTS:
        assert one.trace(text) == other.trace(text), text


CONDITIONS = {
    "position >= 3": POSITION >= 3,
    "position == 0": POSITION == 0,
    "position != 1": POSITION != 1,
    "position % 2 == 1": POSITION % 2 == 1,
    "position>=3": POSITION >= 3,
    "token is a": TOKEN == "a",
    "the token is a": TOKEN == "a",
    "the last token is a": TOKEN == "a",
    "token is not a": TOKEN != "a",
    "token is [ab]": (TOKEN == "a") | (TOKEN == "b"),
    "token is [^a]": TOKEN != "a",
    "token is not [ab]": TOKEN == "c",
    "token is .": POSITION >= 0,
    "first token is b": TOKEN.at_position(0) == "b",
    "token 2 back is a": TOKEN.at(-2, default="b") == "a",
    "the token 2 back is not a": TOKEN.at(-2, default="a") != "a",
    "token 2 back is .": POSITION >= 2,
    "token 0 back is c": TOKEN == "c",
    "count of a > 1": select(TOKEN, "a").count() > 1,
    "count of [ab] <= 2": select(TOKEN != "c", True).count() <= 2,
    "count of . == 3": POSITION == 2,
    "count of b % 2 == 0": select(TOKEN, "b").count() % 2 == 0,
    "a came before": select(TOKEN, "a").exists(),
    "[^ab] came before": select(TOKEN, "c").exists(),
    "not a came before": ~select(TOKEN, "a").exists(),
    "token is a or token is b and position > 1": (TOKEN == "a") | (TOKEN == "b") & (POSITION > 1),
    "(token is a or token is b) and position > 1": (TOKEN != "c") & (POSITION > 1),
    "not (token is a or position > 1)": ~((TOKEN == "a") | (POSITION > 1)),
    "not not token is a": TOKEN == "a",
}


@pytest.mark.parametrize("words", CONDITIONS)
def test_a_condition_means_what_it_says_and_is_written_again(words):
    program = read(f"{SETTING}predict b when {words}\npredict a otherwise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        rules = [predict("b").when(CONDITIONS[words]), predict("a").otherwise()]
        assert_same(program, Program(prompts=PROMPTS, rules=rules))
    written = write_rules(program)
    assert_same(program, read(written))
    assert write_rules(read(written)) == written


ANSWERS = {
    "the last token": TOKEN,
    "the first token": TOKEN.at_position(0),
    "the token 1 back otherwise c": TOKEN.at(-1, default="c"),
    "the token 3 back otherwise a": TOKEN.at(-3, default="a"),
    "the token 0 back": TOKEN,
    "what followed last time otherwise b": (
        select(TOKEN.at(-1, default="a"), TOKEN) & select(POSITION, 0, ">")
    ).latest(TOKEN, default="b"),
    "a 1/4 b 0.75 otherwise": {"a": 0.25, "b": 0.75},
    "c 1 otherwise": {"c": 1},
}


@pytest.mark.parametrize("words", ANSWERS)
def test_an_answer_means_what_it_says_and_is_written_again(words):
    program = read(f"{SETTING}predict {words}")
    assert_same(program, Program(prompts=PROMPTS, rules=[predict(ANSWERS[words]).otherwise()]))
    written = write_rules(program)
    assert_same(program, read(written))
    assert write_rules(read(written)) == written


def test_what_followed_last_time_is_what_an_induction_head_finds():
    program = read(f"{SETTING}predict what followed last time otherwise c")
    assert [program.meaning(text) for text in ("a", "aba", "abcab", "cabca", "aa")] == [
        "c",
        "b",
        "c",
        "b",
        "a",
    ]


def test_pattern_and_condition_must_both_hold():
    program = read(f"{SETTING}predict b after aa when position >= 3\npredict a otherwise")
    assert [program.meaning(text) for text in ("aa", "aaa", "aaaa", "aabc")] == ["a", "a", "b", "a"]


def test_every_answer_takes_every_ending():
    answers = ["b", "a 1/2 b 1/2", "the first token", "the token 1 back otherwise c"]
    for answer in answers:
        for ending in ("after ab", "when token is b", "after .b when position == 1"):
            program = read(f"{SETTING}predict {answer} {ending}\npredict c otherwise")
            assert program.meaning("b") == ("c" if "after" in ending else program.meaning("b"))
            assert_same(program, read(write_rules(program)))


def test_a_place_that_is_always_there_may_leave_otherwise_out():
    one, other = (
        read(f"{SETTING}predict the first token"),
        read(f"{SETTING}predict the first token otherwise"),
    )
    assert_same(one, other)
    assert write_rules(one) == write_rules(other)


def test_a_rule_reads_as_it_was_written_and_every_part_has_its_place():
    program = read(
        "# note\n  predict   b when  token is a and (position >= 3)   # why\npredict a otherwise"
    )
    rule = program.rules[0]
    assert str(rule) == "predict b when token is a and (position >= 3)"
    assert str(rule.place) == "my.rules:2:3"
    assert str(rule.flag.node.place) == "my.rules:2:21"
    assert [str(child.place) for child in rule.flag.node.children] == ["my.rules:2:21", "my.rules:2:37"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("predict b when token is a\npredict b otherwise", "ab"),
        ("predict b when count of [xy] > 1 or not z came before\npredict b otherwise", "bxyz"),
        ("predict the token 1 back otherwise q", "q"),
        ("predict a 1/2 b 1/2 after c\npredict a otherwise", "abc"),
    ],
)
def test_without_a_vocabulary_every_token_named_belongs_to_it(text, tokens):
    assert read(text).vocabulary.tokens == tuple(tokens)


def test_words_are_concluded_from_what_is_predicted():
    program = read("predict the when dog came before\npredict what followed last time otherwise cat")
    assert program.vocabulary.tokens == ("cat", "dog", "the")


@pytest.mark.parametrize(
    ("words", "context"),
    [("token 9 back is a", 10), ("position >= 11", 12), ("position % 20 == 1", 8), ("token is a", 8)],
)
def test_without_a_context_it_is_as_long_as_the_rules_speak_of(words, context):
    assert read(f"predict b when {words}\npredict a otherwise").context == context


def test_one_line_gets_the_otherwise_that_it_leaves_unsaid():
    program, added = parse_one_liner("predict b when count of a > 2")
    assert added == predict("a").otherwise()
    assert program.trace("aaaa") == ("a", "a", "b", "b")
    assert parse_one_liner("predict what followed last time otherwise a")[1] is None


HARD = ("the", "token", "first", "last", "not", "when", "after", "otherwise", "and", "what", "(", "is")


@pytest.mark.parametrize("word", HARD)
def test_a_word_of_the_grammar_can_be_a_token(word):
    prompts = Prompts(HARD, 4)
    rules = [
        predict(word).when(select(prompts.token, word).exists()),
        predict({word: 0.25, "is": 0.75} if word != "is" else {"is": 1}).after(escape(word)),
        predict(prompts.token.at(-1, default=word)).when(prompts.token.at(-2, default="the") == word)
        if word != "the"
        else predict(word).when(prompts.token != word),
        predict(word).otherwise(),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        program = Program(prompts=prompts, rules=rules)
    again = read(write_rules(program))
    assert again.vocabulary == program.vocabulary
    for text in product(HARD, repeat=2):
        assert again.trace(text) == program.trace(text)


def test_characters_that_spell_a_word_of_the_grammar_are_a_pattern():
    program = Program("when", 5, [predict("w").after("w h e n"), predict("n").otherwise()])
    assert "after [w]hen" in write_rules(program)
    assert read(write_rules(program)).meaning("when") == "w"


@pytest.mark.parametrize(
    ("sentence", "column", "message"),
    [
        ("predict b when", 15, "expected a condition"),
        ("predict b when position", 24, "expected `%` or a comparison"),
        ("predict b when position >= x", 28, "expected a whole number"),
        ("predict b when position >= 3 and", 33, "expected a condition"),
        ("predict b when (token is a", 27, "expected `)`"),
        ("predict b when token is", 24, "expected a token or a class"),
        ("predict b when token is a then", 27, "expected `and` or `or`"),
        ("predict b when a before", 16, "write `a came before`"),
        ("predict b when count of a", 26, "expected `%` or a comparison"),
        ("predict the token back otherwise a", 19, "expected a whole number"),
        ("predict what followed first", 23, "expected `last`"),
        ("predict a 1/4 b otherwise", 17, "expected a probability"),
        ("predict b when token is a]", 26, "expected `and`"),
        ("predict b when token is start", 25, "`start` is a place"),
        ("predict b when token is not [abc]", 29, "the condition leaves no token"),
        ("predict b when token is [^abc]", 25, "leaves no token"),
        ("predict b when token is ab", 25, "`ab` is 2 tokens, and one is asked for"),
        ("predict b when position % 0 == 1", 16, "division by 0"),
        ("predict the token 1 back", 9, "`the token 1 back` may not be there"),
        ("predict what followed last time when token is a", 9, "may not be there"),
        ("predict the first token otherwise a", 9, "`the first token` is always there"),
        ("predict the token 5 back otherwise a", 9, "looks 5 tokens back, but the context has 5"),
        ("predict a 1/2 a 1/2 otherwise", 9, "'a' has two probabilities"),
        ("predict a 1/0 otherwise", 9, "1/0 is no number"),
    ],
)
def test_a_sentence_that_is_none_is_refused_with_its_line_and_column(sentence, column, message):
    with pytest.raises((ProgramError, RuleSyntaxError)) as caught:
        read(f"{SETTING}{sentence}\npredict a otherwise")
    assert caught.value.where.startswith(f"my.rules:3:{column}, ")
    assert message in str(caught.value)
    assert caught.value.fix


def test_every_sentence_that_names_an_unknown_token_is_told():
    text = (
        "predict b when token is x\npredict the token 1 back otherwise y\npredict b when z came before"
    )
    with pytest.raises(SeveralErrors) as caught:
        read(SETTING + text)
    assert [type(p) for p in caught.value.problems] == [VocabularyError] * 3
    assert [p.where.split(",")[0] for p in caught.value.problems] == [
        "my.rules:3:25",
        "my.rules:4:36",
        "my.rules:5:16",
    ]


@pytest.mark.parametrize(
    "rule",
    [
        predict("b").when(POSITION * 2 >= 3),
        predict("b").when(TOKEN.at(-1, default="a") == TOKEN),
        predict("b").when(TOKEN.map({"a": 1, "b": 2, "c": 4}) > 1),
        predict("b").when(TOKEN.at(-1, default="a") == "a"),
        predict("b").when(select(TOKEN, TOKEN).count() > 1),
        predict(TOKEN.map({"a": "b", "b": "c", "c": "a"})).after("a"),
        predict(select(TOKEN, "a").earliest(TOKEN, default="b")).after("a"),
    ],
)
def test_what_has_no_words_is_refused_and_named(rule):
    with pytest.raises(NoWordsError, match="has no words in rule files") as caught:
        write_rules(Program(prompts=PROMPTS, rules=[rule, predict("a").otherwise()]))
    assert caught.value.where == f"{rule.place}, {rule}"


def written(rule: Rule) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        program = Program(prompts=PROMPTS, rules=[rule, predict("a").otherwise()])
    found = write_rules(program)
    assert_same(program, read(found))
    return found.splitlines()[2]


@pytest.mark.parametrize("name", ["token", "position", "x + 1", "(", "select(token, 'a')", "é"])
def test_a_name_changes_no_word(name):
    before = TOKEN.at(-1, default="a")
    for plain, named in [
        (predict(before).otherwise(), predict(before.named(name)).otherwise()),
        (predict("b").when(before == "b"), predict("b").when(before.named(name) == "b")),
        (predict("b").when(POSITION % 2 == 1), predict("b").when((POSITION % 2).named(name) == 1)),
        (predict("b").when(POSITION >= 3), predict("b").when((POSITION.named(name) >= 3).named("f"))),
        (
            predict("b").when(select(TOKEN, "a").count() > 1),
            predict("b").when(select(TOKEN.named(name), "a").count().named("token") > 1),
        ),
        (predict("b").when(~(TOKEN == "b")), predict("b").when(~(TOKEN == "b").named(name))),
    ]:
        assert written(named) == written(plain)


def test_a_table_that_is_a_comparison_is_written_as_one():
    test = TOKEN.map({"a": True, "b": False, "c": False})
    assert written(predict("b").when(test)) == "predict b when token is a"
    assert written(predict("b").when(POSITION.map(lambda p: p > 2))) == "predict b when position >= 3"
    assert written(predict("b").when(POSITION < 0)) == "predict b when position < 0"
    assert written(predict("b").when(POSITION > 9)) == "predict b when position < 0"


def test_conditions_of_long_contexts_have_words_too():
    prompts = Prompts("ab", context=5000)
    for flag in (prompts.position >= 4200, prompts.position < 3, prompts.position != 7):
        rules = [predict("b").when(flag), predict("a").otherwise()]
        again = read(write_rules(Program(prompts=prompts, rules=rules)))
        for length in (1, 3, 4, 7, 8, 9):
            assert again.meaning("a" * length) == Program(prompts=prompts, rules=rules).meaning(
                "a" * length
            )


def test_prompts_that_rule_files_cannot_state_are_refused():
    odd = Prompts("ab", 3, inputs="a[ab]*", bos="a", causal=False)
    with pytest.raises(SeveralErrors) as caught:
        write_rules(Program(prompts=odd, rules=[predict("a").otherwise()]))
    assert len(caught.value.problems) == 3


TESTS = st.sampled_from(sorted(CONDITIONS))
SENTENCES = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        inner.map("not ({})".format),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map("({0[0]}) {0[1]} ({0[2]})".format),
    ),
    max_leaves=5,
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["b", "a 1/3 c 2/3", *sorted(ANSWERS)[:2], "the token 2 back otherwise b"]),
            st.sampled_from(["", "after ab ", "after start [ab]. ", "after .c "]),
            SENTENCES,
        ),
        max_size=3,
    )
)
def test_what_is_written_reads_back_to_the_same_meaning(rules):
    lines = [
        f"predict {answer.removesuffix(' otherwise')} {pattern}when {words}"
        for answer, pattern, words in rules
    ]
    program = read("\n".join([SETTING, *lines, "predict a otherwise"]))
    written = write_rules(program)
    assert_same(program, read(written))
    assert write_rules(read(written)) == written
