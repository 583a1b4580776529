"""Rule files that say more than patterns: what each sentence means, and that it is written again."""

from __future__ import annotations

import operator
import re
import warnings
from functools import reduce
from itertools import product

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sweeps import part, sweep

import handcraft
from handcraft import Expression, Program, Prompts, lookup, parse_rules, predict, select, where
from handcraft.errors import (
    HandcraftError,
    HandcraftWarning,
    ProgramError,
    RuleSyntaxError,
    SeveralErrors,
    VocabularyError,
)
from handcraft.language import Rule, parse_one_liner, write_rules
from handcraft.language.patterns.pattern import escape
from handcraft.language.text.phrase import NoWordsError
from handcraft.language.text.syntax_error import WORDS

SETTING = "vocabulary a b c\ncontext 5\n"
PROMPTS = Prompts("abc", context=5)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
TEXTS = [
    *("".join(letters) for n in (1, 2, 3) for letters in product("abc", repeat=n)),
    *part(["".join(letters) for letters in product("abc", repeat=5)], 1, of=4),
]


def read(text: str, file: str = "my.rules") -> Program:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        return parse_rules(text, file)


def assert_same(one: Program, other: Program) -> None:
    assert one.vocabulary == other.vocabulary
    assert one.context == other.context
    for text in TEXTS:
        assert one.trace(text) == other.trace(text), text


NEXT = {"a": "b", "b": "c", "c": "a"}
WORTH = {"a": 1, "b": 2, "c": -1}
TABLES = "table next a -> b  b -> c  c -> a\ntable worth a -> 1  b -> 2  otherwise -1\n"
AS, BS = select(TOKEN, "a").count(), select(TOKEN, "b").count()
SECOND = TOKEN.at(-2, default="a")

CONDITIONS = {
    "token is the token 2 back": (SECOND == TOKEN) & (POSITION >= 2),
    "token is not the token 2 back": (SECOND != TOKEN) & (POSITION >= 2),
    "the first token is the last token": TOKEN.at_position(0) == TOKEN,
    "token 1 back is the token 2 back": (TOKEN.at(-1, default="a") == SECOND) & (POSITION >= 2),
    "token is the token 2 back else a": SECOND == TOKEN,
    "token 2 back else a is not [bc]": SECOND == "a",
    "token 2 back else a is a": SECOND == "a",
    "next of token is the first token": TOKEN.map(NEXT) == TOKEN.at_position(0),
    "the token 1 back is next of token": (TOKEN.at(-1, default="a") == TOKEN.map(NEXT))
    & (POSITION >= 1),
    "next of next of token is a": TOKEN == "b",
    "next of the token 1 back else c is [ab]": TOKEN.at(-1, default="c").map(NEXT) != "c",
    "worth of token is 2": TOKEN == "b",
    "worth of token > 0": TOKEN != "c",
    "count of a > count of b": AS > BS,
    "the count of a is more than the count of b plus 1": AS > BS + 1,
    "count of a is at least 2": AS >= 2,
    "count of a - count of b == 0": AS == BS,
    "count of a * 2 + 1 is at most position": AS * 2 + 1 <= POSITION,
    "position - count of a - count of b > 1": POSITION - AS - BS > 1,
    "position % 2 == count of a % 2": POSITION % 2 == AS % 2,
    "worth of token + worth of the token 1 back == 3": (
        (TOKEN.map(WORTH) + TOKEN.at(-1, default="c").map(WORTH) == 3) & (POSITION >= 1)
    ),
    "position < position * 2": POSITION > 0,
    "position % 3 * 2 == count of a": POSITION % 3 * 2 == AS,
    "position % 3 - count of a < 0 + position % 3": AS > 0,
    "position minus 2 * count of c < 1": POSITION - 2 * select(TOKEN, "c").count() < 1,
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
    program = read(f"{SETTING}{TABLES}predict b when {words}\npredict a otherwise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        rules = [predict("b").when(CONDITIONS[words]), predict("a").otherwise()]
        assert_same(program, Program(prompts=PROMPTS, rules=rules))
    written = write_rules(program)
    assert_same(program, read(written))
    assert write_rules(read(written)) == written


ANSWERS = {
    "next of the last token": TOKEN.map(NEXT),
    "next of next of the first token": TOKEN.at_position(0).map(NEXT).map(NEXT),
    "next of the token 2 back else a": SECOND.map(NEXT),
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
    program = read(f"{SETTING}{TABLES}predict {words}")
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
def test_the_default_context_is_as_long_as_the_rules_need(words, context):
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
        ("predict b when token is not [abc]", 29, "no token satisfies the condition"),
        ("predict b when token is [^abc]", 25, "leaves no token"),
        ("predict b when token is ab", 25, "`ab` is 2 tokens, and one is expected"),
        ("predict b when position % 0 == 1", 16, "division by 0"),
        ("predict the token 1 back", 9, "`the token 1 back` may not exist"),
        ("predict what followed last time when token is a", 9, "may not exist"),
        ("predict the first token otherwise a", 9, "`the first token` always exists"),
        ("predict the token 5 back otherwise a", 9, "looks 5 tokens back, but the context has 5"),
        ("predict a 1/2 a 1/2 otherwise", 9, "'a' has two probabilities"),
        ("predict a 1/0 otherwise", 9, "1/0 is not a number"),
    ],
)
def test_a_sentence_that_is_none_is_refused_with_its_line_and_column(sentence, column, message):
    with pytest.raises((ProgramError, RuleSyntaxError)) as caught:
        read(f"{SETTING}{sentence}\npredict a otherwise")
    assert caught.value.where.startswith(f"my.rules:3:{column}, ")
    assert message in str(caught.value)
    assert caught.value.fix


def test_every_sentence_that_names_an_unknown_token_is_reported():
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
        predict("b").when((POSITION + 1) % 3 == 0),
        predict("b").when(AS * BS > 1),
        predict("b").when(select(TOKEN, "a").mean(POSITION, default=0) > 1),
        predict("b").when(select(TOKEN, TOKEN).count() > 1),
        predict("b").when(where(TOKEN == "a", POSITION, AS) > 2),
        predict(select(TOKEN, "a").earliest(TOKEN, default="b")).after("a"),
        predict(lookup(lambda a, b: max(a, b), TOKEN, SECOND)).after("a"),
    ],
)
def test_what_has_no_words_is_refused_and_named(rule):
    with pytest.raises(NoWordsError, match="cannot be expressed in a rule file") as caught:
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
    prompts = Prompts("ab", context=4096)
    for flag in (prompts.position >= 4000, prompts.position < 3, prompts.position != 7):
        rules = [predict("b").when(flag), predict("a").otherwise()]
        again = read(write_rules(Program(prompts=prompts, rules=rules)))
        for length in (1, 3, 4, 7, 8, 9):
            assert again.meaning("a" * length) == Program(prompts=prompts, rules=rules).meaning(
                "a" * length
            )


def test_prompts_that_rule_files_cannot_state_are_refused():
    odd = Prompts("ab", 3, inputs=st.text("ab"), causal=False)
    with pytest.raises(SeveralErrors) as caught:
        write_rules(Program(prompts=odd, rules=[predict("a").otherwise()]))
    assert len(caught.value.problems) == 2


SUMS = st.lists(
    st.tuples(st.integers(-3, 3), st.sampled_from([POSITION, AS, BS, TOKEN.map(WORTH), POSITION % 3])),
    min_size=1,
    max_size=3,
)


@given(SUMS, SUMS, st.integers(-3, 3), st.sampled_from([operator.gt, operator.le, operator.eq]))
def test_comparisons_of_sums_written_in_python_read_back_to_the_same_meaning(one, other, more, compare):
    left, right = (reduce(operator.add, [f * n for f, n in terms]) for terms in (one, other))
    rules = [predict("b").when(compare(left, right + more)), predict("a").otherwise()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        program = Program(prompts=PROMPTS, rules=rules)
    try:
        written = write_rules(program)
    except NoWordsError:  # nothing is compared, or a remainder is counted several times
        reject()
    again = read(written)
    for text in TEXTS[::13]:
        assert again.trace(text) == program.trace(text), text
    settled = write_rules(again)  # a flag that is always the same is written in its own way first
    assert write_rules(read(settled)) == settled


# --- otherwise, in the same line ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("predict b after aa otherwise c", "predict b after aa\npredict c otherwise"),
        ("predict b when token is a otherwise c", "predict b when token is a\npredict c otherwise"),
        (
            "predict b when token is the token 2 back otherwise a",
            "predict b when token is the token 2 back\npredict a otherwise",
        ),
        (
            "predict the token 1 back otherwise b after a when position > 1 otherwise the first token",
            "predict the token 1 back otherwise b after a when position > 1\npredict the first token",
        ),
        (
            "predict a after b otherwise the token 2 back otherwise c",
            "predict a after b\npredict the token 2 back otherwise c",
        ),
        ("predict a after b otherwise a 1/2 b 1/2", "predict a after b\npredict a 1/2 b 1/2 otherwise"),
    ],
)
def test_a_line_that_says_otherwise_is_two_rules(line, lines):
    one, other = read(SETTING + line), read(SETTING + lines)
    assert_same(one, other)
    assert [str(rule) for rule in one.rules] == [str(rule) for rule in other.rules]
    assert write_rules(one) == write_rules(other)


def test_the_second_rule_of_a_line_has_its_own_place():
    with pytest.raises(VocabularyError) as caught:
        read(f"{SETTING}predict b after aa otherwise x")
    assert caught.value.where == "my.rules:3:30, predict x otherwise"


# --- prompts and tables ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "stated"),
    [
        ("inputs [ab]{2}c[ab]?  # a comment", {"inputs": "[ab]{2}c[ab]?"}),
        (r"inputs [^\#]+", {"inputs": r"[^\#]+"}),
        ("inputs [ab]{2}c\nwrites 2", {"inputs": "[ab]{2}c", "writes": 2}),
        ("bos c", {"bos": "c"}),
        ("inputs c[ab]*\nbos c", {"inputs": "c[ab]*", "bos": "c"}),
    ],
)
def test_which_prompts_are_allowed_is_stated_in_lines_of_their_own(lines, stated):
    program = read(f"{SETTING}{lines}\npredict the first token")
    wanted = Prompts("abc", 5, **stated)
    for name in ("inputs", "bos", "writes"):
        assert getattr(program.prompts, name) == getattr(wanted, name)
    written = write_rules(program)
    assert write_rules(read(written)) == written
    for text in TEXTS:
        assert read(written).prompts.allows(text) is wanted.allows(text)


@pytest.mark.parametrize("pattern", [" a", "a ", "a#b", r"a\#b", "(a|b)\nc", "#", "a\\\\#", ""])
def test_any_regular_expression_can_be_written(pattern):
    prompts = Prompts(["a", "b", "c", " ", "#", "\\"], 4, inputs=pattern)
    program = Program(prompts=prompts, rules=[predict("a").otherwise()])
    again = read(write_rules(program))
    for text in ("a", " a", "a ", "a#b", "#", "ab", "a\\", "a\\#"):
        assert again.prompts.allows([*text]) is prompts.allows([*text]), text


@pytest.mark.parametrize(
    ("lines", "place", "message", "fix"),
    [
        (
            "context 3\ninputs [ab\npredict a otherwise",
            "2:1",
            "is not a regular expression",
            "such as '[ab]+'",
        ),
        ("writes 2\npredict a otherwise", "1:1", "no regular expression describes", "a line `inputs`"),
        ("writes x\npredict a otherwise", "1:1", "`writes x`", "1 or more"),
        ("bos z\nvocabulary a\npredict a otherwise", "1:1", "not in the vocabulary", "add it"),
        ("table t a -> b\npredict t of token", "1:1", "no row for 'b'", "add `b -> ...`"),
        ("table t a -> b a -> a\npredict a otherwise", "1:1", "two rows for 'a'", "leave out one"),
        ("table t otherwise b\npredict t of token", "1:20", "is not allowed here", "expected"),
        (
            "vocabulary a b\npredict t of the last token",
            "2:9",
            "there is no table `t`",
            "table t a -> b",
        ),
        (
            "table t a -> 1 otherwise b\npredict b when t of token > 1\npredict a otherwise",
            "2:16",
            "gives 'b', which is not a whole number",
            "compare it with `is`",
        ),
        (
            "table t a -> b b -> a\npredict t of the token 2 back",
            "2:9",
            "may not exist",
            "the token 2 back else a",
        ),
        (
            "predict b when token is x of y\npredict a otherwise",
            "1:30",
            "'y' is neither a place",
            "expected",
        ),
    ],
)
def test_a_wrong_line_about_prompts_or_tables_is_reported(lines, place, message, fix):
    with pytest.raises((ProgramError, RuleSyntaxError)) as caught:
        read(lines)
    assert caught.value.where.startswith(f"my.rules:{place}")
    assert message in caught.value.what
    assert fix in caught.value.fix


# --- advice ------------------------------------------------------------------------------------

PYTHON = re.compile(r"\w\(|\)\.|\w=|\[\.\.\.\]")
"""What advice in Python looks like: calls, keywords, lists."""

PIECES = """predict after when otherwise the last first token back what followed time position count of
is not and or came before table inputs writes bos vocabulary context a b 1/2 0.3 3 -> else >= % + ( )
[ab] [^ab] . start x"""

RULES = """predict b after a a when token is a
predict the token 2 back otherwise a when position >= 3
predict a 1/2 b 1/2 when count of a > 1
predict a otherwise"""


def advice_of(text):
    """Where, and what each error of a rule file advises; None where there is no error."""
    try:
        read(text)
    except HandcraftError as error:
        return [(each.where, each.fix) for each in getattr(error, "problems", (error,))]
    return None


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([*PIECES.split(), "\n"])), min_size=1, max_size=3
    ),
    st.booleans(),
)
def test_every_error_of_a_rule_file_has_its_line_and_advises_in_its_words(changes, stated):
    words = RULES.replace("\n", " \n ").split(" ")
    for place, piece in changes:
        words[place % len(words)] = piece
    setting = "vocabulary a b\ncontext 5\n" if stated else ""
    for place, fix in advice_of(setting + " ".join(words)) or ():
        assert re.match(r"my\.rules:\d+:\d+", place or ""), (place, fix)
        assert fix
        assert not PYTHON.search(fix), fix


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        ("predict the last token", "my.rules:1:1", "`vocabulary a b`"),
        ("predict b when token is a", "my.rules:1:1", "`predict a otherwise`"),
        ("vocabulary a b\npredict b after a", "my.rules:2:1", "`predict a otherwise`"),
        (
            "vocabulary a b\ncontext 1\npredict b after aa\npredict a otherwise",
            "my.rules:3",
            "`context 2`",
        ),
        ("predict a 1/2 b 1/4 otherwise", "my.rules:1:1", "1/2"),
    ],
)
def test_what_whole_files_lack_is_advised_in_their_words(text, place, fix):
    ((found, advice),) = advice_of(text)
    assert found.startswith(place)
    assert fix in advice
    assert not PYTHON.search(advice)


@pytest.mark.parametrize("word", WORDS)
def test_a_construct_that_needs_python_is_named_and_shown_in_python_that_runs(word):
    lines = [f"predict b when {word} of a > 2", f"predict the {word} token", f"{word} no"]
    for line in lines:
        ((place, fix),) = advice_of(f"{SETTING}{line}\npredict a otherwise")
        assert place.startswith("my.rules:3:")
        assert f"`{WORDS[word].python}`" in fix
    names = {name: getattr(handcraft, name) for name in handcraft.__all__}
    ab = Prompts("ab", context=5)
    shown = eval(WORDS[word].python, names | {"token": ab.token, "position": ab.position})
    if isinstance(shown, Expression):
        assert len(shown.trace("ab")) == 2


SAID = [
    "b",
    "a 1/3 c 2/3",
    "the last token",
    "next of the token 2 back else c",
    "the token 2 back otherwise b",
]
TESTS = st.sampled_from(sorted(CONDITIONS))
SENTENCES = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        inner.map("not ({})".format),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map("({0[0]}) {0[1]} ({0[2]})".format),
    ),
    max_leaves=5,
)


@settings(max_examples=sweep(80))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(SAID),
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
    program = read("\n".join([SETTING + TABLES, *lines, "predict a otherwise"]))
    written = write_rules(program)
    assert_same(program, read(written))
    assert write_rules(read(written)) == written
