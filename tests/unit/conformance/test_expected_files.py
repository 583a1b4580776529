"""Files of cases to skip, and of cases that are expected to fail; what findings say."""

from dataclasses import replace
from pathlib import Path

import pytest

from handcraft.conformance.pack.case import Case, Wrong, first_wrong
from handcraft.conformance.pack.read_pack import Pack
from handcraft.conformance.run.expected import read_expected
from handcraft.conformance.run.findings import findings_of
from handcraft.conformance.run.result import Result
from handcraft.errors import HandcraftError

CASE = Case("one-1", "", ("cache",), "m", "next", ((1,),), ("x",), (((2,),),), {"float32": None})


def case(name, **wrong):
    known = tuple(Wrong(((int(token[1:]),),), tuple(faults)) for token, faults in wrong.items())
    return replace(CASE, id=name, wrong=known)


def test_lines_match_by_pattern_and_by_flag(tmp_path):
    path = tmp_path / "skip"
    path.write_text("# known\n\none-*  slow on this machine\nflag:cache no cache yet # issue 5\n")
    first, second = read_expected(path, [CASE])
    assert (first.pattern, first.reason) == ("one-*", "slow on this machine")
    assert second.is_of(CASE)
    assert second.reason == "no cache yet"
    assert not first.is_of(replace(CASE, id="two"))


@pytest.mark.parametrize(
    ("text", "says"), [("one-1", "no reason"), ("two-* because", "no case matches two-")]
)
def test_a_line_that_says_nothing_is_refused_with_its_number(tmp_path, text, says):
    path = tmp_path / "skip"
    path.write_text(f"# first\n{text}\n")
    with pytest.raises(HandcraftError, match=says) as error:
        read_expected(path, [CASE])
    assert error.value.where == f"{path}, line 2"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(HandcraftError, match="cannot be read"):
        read_expected(tmp_path / "none", [CASE])


@pytest.mark.parametrize(
    ("tokens", "place"),
    [
        (((2, 3),), None),
        (((2, 4),), None),
        (((9, 3),), None),
        (((2, 5),), (0, 1)),
        (((2,),), (0, 1)),
        (((2, 3, 3),), (0, 2)),
        ((), (0, 0)),
        (((2, 3), (2, 3)), (1, 0)),
    ],
)
def test_the_first_wrong_answer(tokens, place):
    assert first_wrong(tokens, (((), (3, 4)),)) == place


def test_the_fault_that_explains_most_and_contradicts_least_is_named():
    cases = (case("a", t5=["f", "g"]), case("b", t6=["f"], t7=["g"]), case("c", t8=["g"]))
    pack = Pack(Path(), "", {}, {"f": "does f", "g": "does g"}, cases)
    results = [
        Result("a", "m", "failed", "answers 5", ("f", "g")),
        Result("b", "m", "failed", "answers 6", ("f",)),
        Result("c", "m", "passed"),
    ]
    (finding,) = findings_of(pack, results)
    assert (finding.says, finding.faults, finding.cases) == ("does f", ("f",), ("a", "b"))


def test_faults_that_nothing_tells_apart_are_both_named():
    pack = Pack(Path(), "", {}, {"f": "does f", "g": "does g"}, (case("a", t5=["f", "g"]),))
    (finding,) = findings_of(pack, [Result("a", "m", "failed", "answers 5", ("f", "g"))])
    assert finding.says == "does f or does g"


def test_what_no_fault_explains_is_told_in_its_own_words():
    pack = Pack(Path(), "", {}, {}, (case("a"), case("b"), case("c")))
    results = [
        Result("a", "m", "failed", "answers 5"),
        Result("b", "m", "crashed", "crashes: exit code 7"),
        Result("c", "m", "crashed", "crashes: exit code 7"),
    ]
    assert [(each.says, each.cases) for each in findings_of(pack, results)] == [
        ("answers 5", ("a",)),
        ("crashes: exit code 7", ("b", "c")),
    ]
