"""`handcraft prove`, and what `compile` says of a proof, with a checker that is told its verdict."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from handcraft import compile_program, save
from handcraft.cli.input.sources import find
from handcraft.errors import CheckpointError
from handcraft_check.errors import CheckError
from handcraft_check.prove import prove
from handcraft_check.verdict import Verdict

ROOT = Path(__file__).parents[4]


@pytest.fixture
def checker(monkeypatch):
    """The checker, whose verdict is decided by the attributes of what this gives."""
    told = SimpleNamespace(
        word="proved",
        reason="the margin may be as low as -1",
        ran_out=False,
        error=None,
        asked=[],
    )

    def prove(folder, **options):
        if told.error is not None:
            raise told.error
        told.asked.append((sorted(path.name for path in folder.iterdir()), options))
        reason = "" if told.word == "proved" else told.reason
        found = Verdict(told.word, 62, 1, 5, "float32", 2.5, ("a", "b"), 7, 0.1, reason)
        return replace(found, ran_out=told.ran_out)

    monkeypatch.setattr("handcraft.proofs.prove_folder.prove", prove)
    return told


@pytest.mark.parametrize(("word", "status"), [("proved", 0), ("unproved", 3), ("refuted", 4)])
def test_the_exit_code_says_what_was_found(run, checker, word, status):
    checker.word = word
    assert run("compile", "aab", "-o", "out").status == 0
    for named in ("aab", "out/"):
        ran = run("prove", named)
        assert (ran.status, ran.out.split(" inputs")[0]) == (status, f"{word}: 62")
    ran = run("prove", "out", "--json")
    assert ran.status == status
    assert json.loads(ran.out)["verdict"] == word


def test_a_program_is_compiled_as_it_is_asked_for(run, checker):
    assert run("prove", "-e", "predict b after aa", "--dtype", "bfloat16").status == 0
    ((files, _),) = checker.asked
    assert {"certificate.json", "config.json", "model.safetensors"} <= set(files)


def test_what_circuits_are_to_mean_is_stated_beside_them_or_on_the_command_line(run):
    assert run("prove", "by_hand").out.startswith("proved: 62 inputs")
    ran = run("prove", "by_hand", "--meaning", "aab", "--print-program")
    assert (ran.status, "rule 2: predict v10 otherwise" in ran.out) == (4, True)
    assert "reason: the model predicts 'b', and 'a' is meant\ncontext: 'a'" in ran.out


def test_a_folder_is_proved_against_rules_that_it_was_not_made_of(run, tmp_path):
    (tmp_path / "same.rules").write_text(
        "vocabulary a b\ncontext 5\npredict b after aa\npredict a after b\npredict a otherwise\n"
    )
    for architecture in ("gpt2", "block"):
        run("compile", "aab", "--architecture", architecture, "-o", architecture)
        before = (tmp_path / architecture / "certificate.json").read_bytes()
        ran = run("prove", architecture, "--meaning", "same.rules")
        assert (ran.status, ran.out.split(" inputs")[0]) == (0, "proved: 62")
        assert run("prove", architecture, "--meaning", "by_hand").status == 4
        assert (tmp_path / architecture / "certificate.json").read_bytes() == before
        (tmp_path / architecture / "certificate.json").unlink()
        assert run("prove", architecture, "--meaning", "same.rules").status == 0


@pytest.mark.parametrize(
    ("meaning", "error"),
    [
        ("nothing", "CommandError: there is no file and no shipped program 'nothing'"),
        ("parity", "ProofError: the program has the token '0', which the model does not know"),
        (
            "programs.py:long",
            "ProofError: the program has a context of 2000, and the model 1024 positions",
        ),
        ("programs.py:both", "ProofError: the model masks later positions, and the program does not"),
        ("programs.py:values", "CommandError: --meaning programs.py:values has no rules"),
    ],
)
def test_what_a_model_cannot_mean_is_an_error(run, tmp_path, meaning, error):
    (tmp_path / "programs.py").write_text(
        "from handcraft import Program, Prompts, predict\n"
        "long = Program('ab', 2000, [predict('a').otherwise()])\n"
        "prompts = Prompts('ab', context=5, causal=False)\n"
        "both = Program(prompts=prompts, rules=[predict('a').otherwise()])\n"
        "values = prompts.position + 1\n"
    )
    run("compile", "aab", "-o", "out")
    ran = run("prove", "out", "--meaning", meaning)
    assert (ran.status, ran.err.split("\n")[0][: len(error)]) == (2, error)
    assert "fix:" in ran.err


@pytest.mark.parametrize("change", ["causal", "activation"])
def test_a_certificate_of_another_architecture_is_an_error(run, tmp_path, change):
    run("compile", "aab", "--architecture", "block", "-o", "out")
    path = tmp_path / "out" / "certificate.json"
    found = json.loads(path.read_text("utf-8"))
    if change == "causal":
        found["contexts"]["causal"] = False
    else:
        found["architecture"]["activation"] = "gelu_tanh"
    path.write_text(json.dumps(found), "utf-8")
    ran = run("prove", "out")
    assert ran.status == 2
    assert f"ProofError: the certificate states {change}=" in ran.err


def test_shorter_contexts_are_proved_of_the_same_folder(run):
    run("compile", "aab", "-o", "out")
    for number, inputs in ((5, 62), (3, 14), (1, 2)):
        ran = run("prove", "out", "--context", str(number))
        assert ran.out.startswith(f"proved: {inputs} inputs, contexts of up to {number} tokens\n")
    both = run("prove", "out", "dyck1", "--context", "6", "--json")
    wrong, right = (json.loads(line) for line in both.out.splitlines())
    assert wrong["what"] == "contexts of 6 tokens, and what is meant is stated up to 5"
    assert (right["verdict"], right["inputs"]) == ("proved", 62)
    written = run("prove", "parity", "--context", "7")
    assert "no input with the 8 tokens that are written fits into 7 tokens" in written.err
    assert run("prove", "out", "--context", "2", "--radius").out.startswith("proved: 6 inputs")


def test_longer_contexts_are_proved_where_a_program_says_what_they_mean(run, tmp_path):
    run(
        "compile",
        "-e",
        "predict b after a",
        "-e",
        "predict a otherwise",
        "--n-positions",
        "50",
        "-o",
        "model",
    )
    (tmp_path / "longer.rules").write_text(
        "vocabulary a b\ncontext 40\npredict b after a\npredict a otherwise\n"
    )
    ran = run("prove", "model", "--meaning", "longer.rules")
    assert ran.out.startswith(f"proved: {2**41 - 2:,} inputs, contexts of up to 40 tokens\n")


def test_circuits_without_a_stated_meaning_are_not_proved(run, tmp_path):
    text = (ROOT / "programs" / "by_hand.py").read_text("utf-8").split("prompts = Prompts")[0]
    (tmp_path / "mine.py").write_text(text)
    ran = run("prove", "mine.py")
    assert ran.status == 2
    assert "mine.py has no rules" in ran.err
    assert "--meaning PROGRAM, or means = Program(...) beside the circuits" in ran.err
    assert run("prove", "mine.py", "--meaning", "by_hand").status == 0


def test_rules_mean_what_they_say(tmp_path):
    with pytest.raises(CheckpointError, match="which mean what they say"):
        save(compile_program(find("aab").source), tmp_path / "out", meaning=find("aab").source)


def test_what_is_proved_is_printed_in_words(run, checker):
    ran = run("prove", "aab", "--print-program")
    lines = ran.out.splitlines()
    assert lines[0] == "inputs: texts of 1 to 5 tokens that end in a final state"
    assert lines[1:3] == ["state 0: 'a' 'b' to 1", "state 1, final: 'a' 'b' to 1"]
    assert "rule 1: predict v9 if v8" in lines
    assert lines.index("rule 2: predict v10 otherwise") + 1 == lines.index(
        next(line for line in lines if line.startswith("proved: 62 inputs"))
    )
    words = json.loads(run("prove", "aab", "--print-program", "--json").out)["program"]
    assert ran.out.startswith(words)


def test_the_automaton_is_printed_with_what_is_written(run, checker):
    out = run("prove", "add", "--print-program").out
    assert "behind an input, up to 10 tokens more, each the one that is predicted\n" in out


def test_several_are_proved_and_each_verdict_has_its_name(run, tmp_path):
    assert run("compile", "aab", "-o", "out").status == 0
    ran = run("prove", "out", "parity", "bare", "--workers", "2")
    assert ran.status == 2
    assert "bare" in ran.err
    ran = run("prove", "out", "parity", "--workers", "2", "--results", "verdicts.jsonl")
    assert ran.status == 0
    assert "out\nproved: 62 inputs" in ran.out
    assert "parity\nproved: 256 inputs" in ran.out
    again = run("prove", "out", "--results", "verdicts.jsonl", "--json")
    assert json.loads(again.out)["program"] == "out"
    assert json.loads(again.out)["verdict"] == "proved"


def test_one_that_cannot_be_judged_does_not_stop_the_others(run, tmp_path):
    for name in ("out", "broken"):
        assert run("compile", "aab", "-o", name).status == 0
    (tmp_path / "broken" / "certificate.json").write_text("{}")
    ran = run("prove", "broken", "out", "--json")
    assert ran.status == 2
    found = {row["program"]: row for row in map(json.loads, ran.out.splitlines())}
    assert found["out"]["verdict"] == "proved"
    assert found["broken"]["kind"] == "ProofError"


def test_exact_bounds_are_asked_for(run):
    ran = run("prove", "aab", "--exact", "--json")
    assert ran.status == 0
    assert json.loads(ran.out)["arithmetic"].endswith("in whole numbers of 2^-512")
    ran = run("prove", "aab", "--exact", "--regime", "bfloat16")
    assert (ran.status, ran.err.splitlines()[0]) == (
        2,
        "ProofError: exact bounds are computed of float32 only, of GPT-2, without a radius",
    )


def test_workers_divide_a_single_proof(run, tmp_path):
    alone = run("prove", "dyck1", "--json")
    together = run("prove", "dyck1", "--workers", "2", "--json")
    assert together.status == 0
    both = [json.loads(ran.out) for ran in (alone, together)]
    assert both[0] | {"seconds": 0} == both[1] | {"seconds": 0}


WRONG = {
    "aab parity --radius": "CommandError: --radius needs a single program, and no --results",
    "aab parity --exact": "CommandError: --exact needs a single program, and no --results",
    "aab --radius --exact": "CommandError: --radius and --exact are both given",
    "aab --print-program --results kept": "CommandError: --print-program needs a single program",
    "aab --scheduler tcp://a:1 --workers 2": "--workers counts processes of this machine",
    "aab --dtype float33": "weights cannot be of the type 'float33'",
    "out --dtype float32": "CommandError: out is already compiled",
    "bare": "ProofError: bare has no certificate.json",
    "by_code.py": "ProofError: there is no certificate: Python code decides which prompts are allowed",
}

BY_CODE = """
from hypothesis import strategies as st
from handcraft import Program, Prompts, predict
prompts = Prompts("ab", 4, inputs=st.just("ab"))
program = Program(prompts=prompts, rules=[predict("a").otherwise()])
"""


@pytest.mark.parametrize("arguments", WRONG)
def test_what_cannot_be_proved_is_an_error(run, checker, tmp_path, arguments):
    run("compile", "aab", "-o", "out")
    run("compile", "aab", "--format", "npz", "-o", "bare")
    (tmp_path / "by_code.py").write_text(BY_CODE)
    ran = run("prove", *arguments.split())
    assert ran.status == 2
    assert WRONG[arguments] in ran.err


def test_without_the_package_the_message_names_the_extra(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    ran = run("prove", "aab", "--scheduler", "tcp://127.0.0.1:1")
    assert ran.status == 2
    assert ran.err.startswith(
        "CommandError: --scheduler needs the distributed package, which is not installed\n"
        "  where: the command handcraft prove aab --scheduler tcp://127.0.0.1:1\n"
        "  fix:   pip install 'handcraft[cluster]'\n"
    )


def test_a_damaged_certificate_is_an_error(run, checker):
    checker.error = CheckError("the key 'op' occurs twice", "certificate.json", "compile it again")
    run("compile", "aab", "-o", "out")
    ran = run("prove", "out")
    assert (ran.status, ran.err) == (
        2,
        "ProofError: the key 'op' occurs twice\n  where: certificate.json\n  fix:   compile it again\n",
    )


def test_a_damaged_program_is_not_printed(run, checker, tmp_path):
    run("compile", "aab", "-o", "out")
    (tmp_path / "out" / "certificate.json").write_text("{}")
    ran = run("prove", "out", "--print-program")
    assert ran.status == 2
    assert "the certificate is damaged" in ran.err


SAID = {
    "proved": "proved: right after every one of 62 prompts, "
    "with a logit margin of at least 2.5 in float32",
    "unproved": "sampled, and not proved: the margin may be as low as -1",
}


BADGE = {
    "proved": "> **Proved**: after every one of 62 prompts, the token that is meant has the highest "
    "logit, by at least 2.5 nats.",
    "unproved": "> **Sampled, not proved**: the margin may be as low as -1.",
}


@pytest.mark.parametrize("word", SAID)
def test_compile_says_what_is_proved(run, checker, tmp_path, word):
    checker.word = word
    assert SAID[word] in run("compile", "aab", "-o", "out").out.splitlines()
    assert json.loads(run("compile", "aab", "-o", "out", "--json").out)["proof"]["verdict"] == word
    card = (tmp_path / "out" / "README.md").read_text()
    line = next(line for line in card.splitlines() if line.startswith("> "))
    assert line == BADGE[word]
    assert card.index(line) < card.index("## The rules")
    assert ("## Proved\n\nThe sentence at the top" in card) is (word == "proved")
    assert ("sampled" in card.rpartition("##")[2]) is (word != "proved")


def test_compile_tries_what_takes_seconds_unless_it_must(run, checker):
    run("compile", "aab", "-o", "out")
    run("compile", "aab", "-o", "out", "--require-proof")
    assert [options["budget"] for _, options in checker.asked] == [10_000, 1 << 21]


@pytest.mark.parametrize(
    ("options", "parameters"), [((), 8_496), (("--provable",), 32_544), (("--require-proof",), 32_544)]
)
def test_a_model_is_made_for_a_proof_where_one_is_asked_for(run, checker, options, parameters):
    ran = run("compile", "induction", "--dtype", "bfloat16", "-o", "out", "--json", *options)
    assert json.loads(ran.out)["parameters"] == parameters


def test_what_is_compiled_to_be_proved_is_provable(run, tmp_path):
    ran = run("prove", "induction", "--dtype", "bfloat16", "--regime", "bfloat16")
    assert ran.status == 0


def test_compile_says_nothing_of_proofs_where_there_is_no_certificate(run, checker):
    ran = run("compile", "aab", "--format", "npz", "-o", "out")
    assert "proved:" not in ran.out
    assert not checker.asked


@pytest.mark.parametrize("options", [(), ("--architecture", "block")])
def test_compile_writes_nothing_without_a_proof_that_is_required(run, checker, tmp_path, options):
    checker.word = "unproved"
    ran = run("compile", "aab", "-o", "out", "--require-proof", *options)
    assert ran.status == 2
    assert ran.err.startswith("ProofError: no proof was found: ")
    assert list(tmp_path.iterdir()) == []


def test_what_the_checker_cannot_read_is_sampled(run, checker):
    checker.error = CheckError("weights in 'float64' are not checked", "certificate.json")
    out = run("compile", "aab", "-o", "out").out
    assert "sampled, and not proved: weights in 'float64' are not checked" in out


FIXES = {
    "float32": (("--dtype", "bfloat16"), "--dtype float32, which is proved"),
    "nothing": ((), "tried, and not proved either: --tokens binary, a context of 2"),
}


@pytest.mark.parametrize("proved", FIXES)
def test_what_would_be_proved_is_tried_before_it_is_advised(run, checker, monkeypatch, proved):
    def prove(folder, **options):
        dtype = json.loads((folder / "config.json").read_text())["dtype"]
        return Verdict(
            "proved" if dtype == proved and options["budget"] == 10_000 else "unproved",
            *(62, 1, 5, dtype, 2.5, ("a", "b"), 7, 0.1, "the margin may be as low as -1"),
        )

    monkeypatch.setattr("handcraft.proofs.prove_folder.prove", prove)
    options, fix = FIXES[proved]
    ran = run("compile", "aab", "-o", "out", "--require-proof", *options)
    assert ran.err.splitlines()[-1].endswith(fix)


@pytest.mark.parametrize(
    ("options", "first"),
    [
        (("--optimize",), "leave out --optimize, --tokens binary"),
        (("--positions", "one-hot"), "--positions auto, --tokens binary"),
        (("--tokens", "binary"), "--tokens auto"),
    ],
)
def test_changes_that_are_tried(run, checker, options, first):
    checker.word = "unproved"
    ran = run("compile", "aab", "-o", "out", "--require-proof", *options)
    assert f"not proved either: {first}, a context of 2" in ran.err


def test_a_regime_and_the_radius_are_asked_for(run, checker):
    run("compile", "aab", "-o", "out")
    run("prove", "out", "--regime", "bfloat16")
    assert checker.asked[-1][1]["regime"] == "bfloat16"
    run("prove", "out")
    assert checker.asked[-1][1]["regime"] is None


def test_the_radius_is_printed(run):
    ran = run("prove", "-e", "predict b after a", "--regime", "float16", "--radius")
    lines = ran.out.splitlines()
    assert "rounded to float16" in lines[1]
    radius = float(lines[-1].removeprefix("radius: "))
    assert 2.0**-12 <= radius < 1
    found = json.loads(run("prove", "-e", "predict b after a", "--radius", "--json").out)
    assert found["verdict"] == "proved"
    assert 2.0**-20 < found["radius"] < 1


def test_a_regime_that_is_not_known_is_refused(run):
    ran = run("prove", "aab", "--regime", "float64")
    assert ran.status == 2
    assert "ProofError: steps in 'float64' are not checked" in ran.err
    assert "use one of: float32, bfloat16, float16, tf32" in ran.err


@pytest.mark.parametrize("ran_out", [True, False])
def test_a_quick_try_says_that_a_longer_one_is_possible(run, checker, ran_out):
    """Whatever the reason says: nothing is decided from its text."""
    checker.word, checker.ran_out = "unproved", ran_out
    out = run("compile", "aab", "-o", "out").out
    assert f"sampled, and not proved: {checker.reason}" in out
    assert ("in a quick try; `handcraft prove FOLDER` tries longer" in out) is ran_out


@pytest.mark.parametrize(("name", "ran_out"), [("aab", False), ("recall", True)])
def test_a_verdict_says_whether_the_cases_ran_out(name, ran_out, run, tmp_path):
    assert run("compile", name, "-o", "out").status == 0
    few = prove(tmp_path / "out", budget=1 << 13)
    assert (few.word, few.ran_out) == ("unproved" if ran_out else "proved", ran_out)
    assert few.ran_out is ("takes more than" in few.reason)
    assert Verdict.from_json(json.loads(json.dumps(few.to_json()))) == few


def test_a_meaning_that_does_not_fit_is_named_as_it_was_given(run):
    ran = run("prove", "parity", "--meaning", "aab")
    assert ran.status == 2
    assert ran.err == (
        "ProofError: the program has the token 'a', which the model does not know\n"
        "  where: --meaning aab\n"
        "  fix:   state what it means over its own tokens: 0 1 = e o\n"
    )
