"""Rules as text: what is read, where it stands, what is concluded, and how it is written again."""

from __future__ import annotations

import pytest

from handcraft import Program, Vocabulary, parse_rules, predict
from handcraft.errors import HandcraftError, RuleSyntaxError, SeveralErrors, VocabularyError
from handcraft.language import parse_one_liner, write_rules

AAB = "vocabulary a b\ncontext 5\npredict b after aa\npredict a otherwise\n"


def clauses(program: Program) -> list[tuple]:
    return [(clause.token, clause.pattern) for clause in program.clauses]


def test_a_text_states_vocabulary_context_and_rules():
    program = parse_rules(AAB)
    assert program.vocabulary == Vocabulary("ab")
    assert program.context == 5
    assert program.rules == (predict("b").after("aa"), predict("a").otherwise())


@pytest.mark.parametrize(
    "text",
    [
        AAB.removesuffix("\n"),
        "\n\n" + AAB.replace("\n", "\n\n"),
        AAB.replace("\n", "\r\n"),
        "# predict b after aa, otherwise a\n" + AAB,
        AAB.replace("\n", "   # a comment\n"),
        AAB.replace("\n", "#predict b after b\n"),
        AAB.replace("\n", "\n\t "),
        AAB.replace(" ", " \t "),
        "predict b after aa\ncontext 5\npredict a otherwise\nvocabulary a b",
    ],
)
def test_blank_lines_comments_blanks_and_the_order_of_statements_do_not_matter(text):
    program = parse_rules(text)
    assert clauses(program) == clauses(parse_rules(AAB))
    assert (program.vocabulary.tokens, program.context) == (("a", "b"), 5)


def test_a_hash_with_a_backslash_begins_no_comment():
    program = parse_rules("vocabulary a \\#\npredict \\# after a\\#\npredict a otherwise")
    assert program.vocabulary.tokens == ("a", "#")
    assert program.meaning("a#") == "#"
    assert program.meaning("#a") == "a"


def test_every_rule_has_its_line_and_column():
    program = parse_rules("\n  predict b after aa\n# note\n\tpredict a otherwise\n", "my.rules")
    assert [str(rule.place) for rule in program.rules] == ["my.rules:2:3", "my.rules:4:2"]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("predict b after a]", 18),
        ("  predict b  after   a]", 23),
        ("predict b after start a]", 24),
        ("predict b after a] # note", 18),
        ("predict \\b after a]", 19),
    ],
)
def test_a_broken_pattern_is_shown_by_line_and_column_of_the_text(line, column):
    with pytest.raises(RuleSyntaxError) as caught:
        parse_rules(f"vocabulary a b\n{line}\npredict a otherwise", "my.rules")
    assert caught.value.where.startswith(f"my.rules:2:{column}, predict b after ")


def test_a_broken_pattern_is_shown_also_where_the_vocabulary_is_concluded():
    with pytest.raises(RuleSyntaxError) as caught:
        parse_rules("predict b after a]", "my.rules")
    assert caught.value.where.startswith("my.rules:1:18, ")


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        ("predict b before aa", "my.rules:1:11", "expected `after` or `otherwise`"),
        ("vocabulary a b\nforecast b after aa", "my.rules:2:1", "`predict` or `table` or `vocabulary`"),
        ("predict", "my.rules:1:8", "expected a word"),
        ("\npredict b", "my.rules:2:10", "expected `after` or `otherwise`"),
        ("predict b after", "my.rules:1:16", "expected a pattern"),
        ("predict b after # aa", "my.rules:1:17", "write `otherwise`"),
        ("predict b otherwise a", "my.rules:1:21", "expected the end of the line"),
        ("context 5 6", "my.rules:1:11", "expected the end of the line"),
        ("vocabulary", "my.rules:1:11", "expected a word"),
        ("predict b c after aa", "my.rules:1:11", "expected `after` or `otherwise`"),
    ],
)
def test_text_that_is_no_rule_is_refused_with_its_place_and_what_was_expected(text, place, fix):
    with pytest.raises(RuleSyntaxError) as caught:
        parse_rules(text, "my.rules")
    assert caught.value.where.startswith(f"{place}, ")
    assert fix in caught.value.fix


def test_the_line_that_is_shown_is_the_line_that_is_meant():
    with pytest.raises(RuleSyntaxError) as caught:
        parse_rules("vocabulary a b \f\npredict a otherwise\npredict b before a", "my.rules")
    assert caught.value.where == "my.rules:3:11, predict b before a"


@pytest.mark.parametrize(
    "text",
    [
        "predict b afternoon\npredict a otherwise",
        "predictb after aa\npredict a otherwise",
        "context5\npredict a otherwise",
        "vocabularya b\npredict a otherwise",
    ],
)
def test_a_word_that_only_begins_like_a_keyword_is_none(text):
    with pytest.raises(RuleSyntaxError):
        parse_rules(text)


def test_all_that_is_wrong_with_the_settings_is_reported_at_once():
    text = "context five\nvocabulary a\nvocabulary b\ncontext 3\npredict a otherwise"
    with pytest.raises(SeveralErrors) as caught:
        parse_rules(text, "my.rules")
    assert [(problem.what, problem.where) for problem in caught.value.problems] == [
        ("the context is 'five'", "my.rules:1:1"),
        ("a second `vocabulary` line", "my.rules:3:1"),
        ("a second `context` line", "my.rules:4:1"),
    ]


@pytest.mark.parametrize("word", ["-1", "5.0", "0x5", "five"])
def test_a_context_that_is_no_number_is_refused(word):
    with pytest.raises(RuleSyntaxError, match=f"the context is '{word}'"):
        parse_rules(f"context {word}\npredict a otherwise")


def test_a_context_of_0_is_refused():
    with pytest.raises(HandcraftError, match=r"the context is '?0'?"):
        parse_rules("context 0\npredict a otherwise")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("predict b after aa\npredict a otherwise", ("a", "b")),
        ("predict a otherwise\n", ("a",)),
        ("predict z after [^xy]w\npredict a otherwise", ("a", "w", "x", "y", "z")),
        ("predict z after start a.b\npredict a otherwise", ("a", "b", "z")),
        ("predict sat after the cat\npredict the otherwise", ("cat", "sat", "the")),
        ("predict sat after [the a] [^dog]\npredict the otherwise", ("a", "dog", "sat", "the")),
        ("predict \\. after a\\.\npredict a otherwise", (".", "a")),
        ("predict it after \\start\npredict a otherwise", ("a", "it", "start")),
        ("predict a after start b\npredict a otherwise", ("a", "b")),
    ],
)
def test_without_a_vocabulary_the_tokens_named_are_the_vocabulary_in_sorted_order(text, tokens):
    assert parse_rules(text).vocabulary.tokens == tokens


def test_words_are_concluded_from_what_is_predicted_and_not_from_the_patterns():
    assert parse_rules("predict b after the\npredict a otherwise").vocabulary.tokens == tuple("abeht")
    with pytest.raises(VocabularyError, match="'t'"):
        parse_rules("vocabulary a b\npredict b after the\npredict a otherwise")


@pytest.mark.parametrize(
    ("pattern", "context"),
    [("aa", 8), ("a" * 8, 8), ("a" * 9, 9), ("start [ab].[^a]" + "a" * 7, 10)],
)
def test_without_a_context_it_is_8_or_as_long_as_the_longest_pattern(pattern, context):
    assert parse_rules(f"predict b after {pattern}\npredict a otherwise").context == context


def test_the_length_of_a_pattern_of_words_is_counted_in_words():
    words = " ".join(["the"] * 9)
    assert parse_rules(f"predict cat after {words}\npredict the otherwise").context == 9


KEYWORDS = ("vocabulary", "context", "predict", "after", "otherwise", "start", "#")


@pytest.mark.parametrize("token", KEYWORDS)
def test_a_keyword_can_be_a_token(token):
    program = Program(KEYWORDS, 3, [predict(token).after(f"after \\{token}"), predict("#").otherwise()])
    again = parse_rules(write_rules(program))
    assert again.vocabulary == program.vocabulary
    assert clauses(again) == clauses(program)


def test_a_program_is_written_one_statement_a_line():
    program = Program(
        "the start cat",
        4,
        [
            predict("start").after("start [the cat] ."),
            predict("cat").after(r"\start"),
            predict("the").otherwise(),
        ],
    )
    assert write_rules(program) == (
        "vocabulary the \\start cat\n"
        "context 4\n"
        "predict \\start after start [^\\start] .\n"
        "predict cat after \\start\n"
        "predict the otherwise\n"
    )


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\r", "\f", "\u00a0", "\u2028"])
@pytest.mark.parametrize("pattern", ["a{}a", "{}a", "a{}", "[{}a]"])
def test_a_blank_that_is_a_token_is_written_so_that_it_reads_back(blank, pattern):
    rule = predict(blank).after(pattern.format(f"\\{blank}"))
    program = Program(["a", blank, "b"], 3, [rule, predict("a").otherwise()])
    again = parse_rules(write_rules(program))
    assert again.vocabulary == program.vocabulary
    assert clauses(again) == clauses(program)


def test_one_line_needs_no_otherwise():
    program, added = parse_one_liner("predict b after aa")
    assert added == predict("a").otherwise()
    assert program.rules == (predict("b").after("aa"), predict("a").otherwise())


@pytest.mark.parametrize(
    "text",
    ["predict b after aa\npredict a otherwise", "predict a after .", "predict a otherwise"],
)
def test_nothing_is_added_where_every_context_is_covered(text):
    program, added = parse_one_liner(text)
    assert added is None
    assert clauses(program) == clauses(parse_rules(text))


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("predict a after b", "b"),
        ("predict b after c\npredict a after b", "c"),
        ("predict a after bb\npredict b after aa", "a"),
        ("predict a after aa", "a"),
        ("vocabulary b a\npredict b after bb", "a"),
        ("vocabulary b a\npredict b after bb\npredict a after aa", "b"),
    ],
)
def test_the_added_rule_predicts_the_first_token_that_no_rule_predicts_else_the_first(text, token):
    program, added = parse_one_liner(text)
    assert added == predict(token).otherwise()
    assert program.rules[-1] is added


def test_a_broken_line_is_refused_as_in_a_file():
    with pytest.raises(RuleSyntaxError) as caught:
        parse_one_liner("predict b before aa")
    assert caught.value.where == "-e:1:11, predict b before aa"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("predikt b after aa\npredict a otherwise", "predict"),
        ("vocab a b\npredict a otherwise", "vocabulary"),
        ("predict a otherwize", "otherwise"),
        ("predict a whn position >= 2", "when"),
    ],
)
def test_for_a_misspelt_word_a_correction_is_advised_that_can_be_read(text, meant):
    with pytest.raises(RuleSyntaxError, match=f"did you mean `{meant}`") as caught:
        parse_rules(text)
    misspelt = caught.value.what.split("'")[1]
    mended = text.replace(misspelt, meant)
    if "otherwise" not in mended:
        mended += "\npredict a otherwise"
    assert parse_rules(mended).rules


def test_the_name_of_a_file_is_not_taken_for_rules():
    with pytest.raises(RuleSyntaxError, match="is the name of a file"):
        parse_rules("programs/aab.rules")
