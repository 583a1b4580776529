"""A value is called as its variable, wherever that is, and no two values have one name."""

from __future__ import annotations

import linecache
from functools import reduce
from operator import and_

import pytest

from handcraft import Program, Prompts, compile_program, predict, select, where, window
from handcraft.language.graph.labels import distinct


@pytest.fixture
def prompts():
    return Prompts("abc", context=6)


def test_an_assignment_names_what_an_operator_a_call_and_a_method_make(prompts):
    before = prompts.token.at(-1, default="a")
    late = prompts.position >= 2
    early = ~late
    chosen = where(late, 1, 2)
    mean = window(2).mean(chosen)
    same = select(before, prompts.token)
    followed = same & select(late, True)
    found = followed.latest(prompts.token, default="a")
    shown = [str(value) for value in (before, late, early, chosen, mean, same, followed, found)]
    assert shown == ["before", "late", "early", "chosen", "mean", "same", "followed", "found"]
    assert str(before == "b") == "before == 'b'"
    assert repr(followed) == "<selection: followed = same & select(late, True)>"
    assert repr(mean) == "<number: mean = window(2).mean(chosen)>"


def test_steps_inside_a_method_have_no_name(prompts):
    before = prompts.token.at(-1, default="a")
    texts = [str(child) for child in before.node.children]
    assert texts == ["position", "position - 1", "token"]


def test_several_targets_a_walrus_an_annotation_and_a_choice(prompts):
    first, second = prompts.token == "a", prompts.token == "b"
    annotated: object = prompts.token == "c"
    if (inside := prompts.position > 1) is not None:
        chosen = prompts.position > 2 if first is second else prompts.position > 3
    assert list(map(str, (first, second, annotated, inside, chosen))) == [
        "first", "second", "annotated", "inside", "chosen",
    ]  # fmt: skip
    first |= second
    assert str(first) == "first#2"
    assert first.node.text.defined == "first#2 = first | second"


def test_what_a_function_returns_is_named_where_it_is_assigned(prompts):
    def back(places):
        return (
            prompts.token.at(-places, default="a")
            .at(-1, default="b")
        )  # fmt: skip

    one, two = back(1), (lambda: back(2))()
    assert (str(one), str(two)) == ("one", "two")
    assert str(back(3)) == "token.at(-3, default='a').at(-1, default='b')"


def test_a_variable_that_is_assigned_again_numbers_its_values(prompts):
    seen = prompts.token == "a"
    for place in range(1, 3):
        seen = seen | (prompts.position == place)
    assert str(seen) == "seen#3"
    again = prompts.token == "a"
    assert str(again) == "again"
    assert str(prompts.token == "a") == "again", "made again without a name"


def test_a_sum_of_many_has_the_name_and_its_partial_sums_do_not_count(prompts):
    total = sum(prompts.token == letter for letter in "abc")
    assert repr(total) == (
        "<number: total = (token == 'a') + (token == 'b') + (token == 'c')>"
    )  # fmt: skip
    every = reduce(and_, [prompts.position != place for place in range(3)])
    assert str(every) == "every"


def test_items_of_lists_and_dictionaries_have_their_place_or_their_key(prompts):
    pair = [prompts.token == "a", prompts.token == "b"]
    table = {"late": prompts.position > 2, 7: prompts.position > 3}
    counts = {letter: select(prompts.token, letter).count() for letter in "ab"}
    sums = {letter: sum([counts["a"], counts[letter], 1]) for letter in "b"}
    listed = [prompts.position == place for place in range(2)]
    assert list(map(str, pair)) == ["pair[0]", "pair[1]"]
    assert list(map(str, table.values())) == ["late", "table[7]"]
    assert list(map(str, counts.values())) == ["counts['a']", "counts['b']"]
    assert repr(sums["b"]) == "<number: sums['b'] = counts['a'] + counts['b'] + 1>"
    assert list(map(str, listed)) == ["listed", "listed#2"]


def test_lambdas_read_as_they_are_written(prompts):
    functions = [lambda p: p + 1, lambda p: p + 2]
    texts = [str(prompts.position.map(function)) for function in functions]
    assert texts == ["position.map(lambda p: p + 1)", "position.map(lambda p: p + 2)"]
    nested = prompts.position.map((lambda a: lambda p: p * a)(3))
    assert repr(nested) == "<number: nested = position.map(lambda p: p * a)>"
    long = prompts.position.map(lambda place: place if place > 100000 else place + 1000000)
    assert repr(long) == "<number: long = position.map(lambda ...)>"
    made = eval("lambda p: p", {})  # whose source is not known
    assert str(prompts.token.map(made)) == "token.map(lambda ...)"


def test_named_wins_and_an_underscore_names_nothing(prompts):
    variable = prompts.token.at(-1, default="a").named("said")
    _ = prompts.token.at(-2, default="a")
    assert str(variable) == "said"
    assert str(_) == "token.at(-2, default='a')"


def run_cell(name: str, source: str, known: dict[str, object]) -> None:
    """Run source as a notebook does: each cell is a file of its own, which is not on disk."""
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    exec(compile(source, name, "exec"), known)


def test_cells_of_a_notebook_name_values_and_an_edited_cell_does_so_again(prompts):
    known: dict[str, object] = {"token": prompts.token}
    run_cell("<cell 1>", "before = token.at(-1, default='a')\n", known)
    first = known["before"]
    run_cell("<cell 2>", "before = token.at(-2, default='a')\n", known)
    run_cell("<cell 3>", "class Digits:\n    here = token == 'a'\n", known)
    assert (str(first), str(known["before"])) == ("before", "before")
    assert str(known["Digits"].here) == "here"


def test_a_file_that_was_edited_is_read_again(tmp_path):
    for name in ("one", "quite_another"):
        file = tmp_path / "program.py"
        file.write_text(f"from handcraft import Prompts\n{name} = Prompts('ab', 3).token == 'a'\n")
        known: dict[str, object] = {}
        exec(compile(file.read_text(), str(file), "exec"), known)
        assert str(known[name]) == name


def test_without_its_source_a_value_reads_as_it_was_made(prompts):
    known: dict[str, object] = {"token": prompts.token}
    exec(compile("before = token.at(-1, default='a')", "<no such source>", "exec"), known)
    assert str(known["before"]) == "token.at(-1, default='a')"


def test_names_are_those_of_one_prompts():
    values = []
    for _ in range(2):
        before = Prompts("ab", context=4).token.at(-1, default="a")
        values.append(before)
    assert list(map(str, values)) == ["before", "before"]
    assert str(Prompts("ab", context=4).token.at(-1, default="a")) != "before"


def test_names_change_no_value_and_reach_the_weights(prompts):
    before = prompts.token.at(-1, default="a")
    named = Program(prompts=prompts, rules=[predict(before).otherwise()])
    other = Prompts("abc", context=6)
    plain = Program(prompts=other, rules=[predict(other.token.at(-1, default="a")).otherwise()])
    assert str(named.rules[0]) == "predict before otherwise"
    one, two = compile_program(named), compile_program(plain)
    assert all((one.model.tensors[name] == two.model.tensors[name]).all() for name in one.model.tensors)
    assert [head.name for block in one.circuits.blocks for head in block.heads] == ["before"]


def test_labels_of_texts_that_differ_late_differ(prompts):
    long = [f"{'x' * 200} {number} {'y' * 200}" for number in range(3)]
    labels = distinct([*long, "short"])
    assert len(set(labels.values())) == 4
    assert labels["short"] == "short"
    similar = [
        prompts.token.map({"a": "first", "b": "second", "c": last}).at(-1, default="first")
        for last in ("third", "forth")
    ]
    shown = distinct([value.node.text for value in similar])
    assert len(set(shown.values())) == 2
