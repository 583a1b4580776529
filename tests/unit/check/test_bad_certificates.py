"""Certificates that are not what they should be: a clear error, soon, and never a proof."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from fractions import Fraction
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from handcraft import Program, Prompts, compile_program, load, predict, save
from handcraft.formats import read_checkpoint
from handcraft_check.__main__ import main
from handcraft_check.attempts import Shown
from handcraft_check.by_cases.found import Found
from handcraft_check.errors import CheckError
from handcraft_check.program.meaning import program_hash
from handcraft_check.program.nodes import common_denominator
from handcraft_check.program.words import at_most
from handcraft_check.prove import prove
from handcraft_check.verdict import Verdict

CERTIFICATE = "certificate.json"

MEMORY = 2 << 30
"""The address space that a checker of bad input gets, in bytes."""

TIME = 60
"""The seconds of processor time that it gets; it takes one or two."""


def compiled(folder, answer="b", context=3):
    rules = [predict(answer).after("aa"), predict("a").otherwise()]
    prompts = Prompts("ab", context, inputs="[ab]+")
    compile_program(Program(prompts=prompts, rules=rules)).save(folder)
    return folder


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = compiled(tmp_path_factory.mktemp("original") / "model")
    assert prove(folder).word == "proved"
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "model")


def edit(folder, change, *, hashed=True):
    """Change a certificate, and give it the hash that its program then has."""
    path = folder / CERTIFICATE
    certificate = json.loads(path.read_text("utf-8"))
    change(certificate)
    if hashed:
        certificate["program"] = program_hash(certificate["contexts"], certificate["meaning"])
    path.write_text(json.dumps(certificate), "utf-8")


def check(folder, capsys):
    """Run the checker, which must refuse to judge: what it says, without the name of the folder."""
    assert main([str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("CheckError: ")
    assert "\n  where: " in err
    return err


def test_a_certificate_of_another_file(folder, tmp_path, capsys):
    other = compiled(tmp_path / "other", context=2)
    shutil.copy(other / CERTIFICATE, folder / CERTIFICATE)
    err = check(folder, capsys)
    assert "model.safetensors is not the file that the certificate is about: its hash differs" in err
    assert f"python -m handcraft_check --rehash {folder}\n" in err
    assert main(["--rehash", str(folder)]) == 0


def test_a_certificate_of_another_program_is_about_other_answers(folder, tmp_path):
    other = compiled(tmp_path / "other", answer="a")
    shutil.copy(other / CERTIFICATE, folder / CERTIFICATE)
    assert prove(folder, rehash=True).word == "refuted"


def test_a_certificate_that_was_edited(folder, capsys):
    edit(folder, lambda data: data["contexts"].update(length=2), hashed=False)
    assert "its program was edited: the hash of contexts and meaning differs" in check(folder, capsys)


@pytest.mark.parametrize(
    ("key", "value"), [("version", 0), ("version", 2), ("version", "1"), ("format", "safetensors")]
)
def test_a_certificate_of_another_format(key, value, folder, capsys):
    edit(folder, lambda data: data.update({key: value}))
    err = check(folder, capsys)
    assert f"it is of the format {value!r}" in err or f"version {value!r}" in err
    assert "this checker reads handcraft-certificate, version 1" in err


@pytest.mark.parametrize("eighths", range(8))
def test_a_certificate_that_is_cut_off(eighths, folder, capsys):
    path = folder / CERTIFICATE
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * eighths // 8])
    check(folder, capsys)


def no_final_state(data):
    data["contexts"]["final"] = [False] * len(data["contexts"]["final"])


def a_final_state_too_far_away(data):
    contexts = data["contexts"]
    states = contexts["length"] + 2
    contexts["next"] = [[state + 1] for state in range(states - 1)] + [[-1]]
    contexts["kinds"] = [0] * len(contexts["kinds"])
    contexts["final"] = [False] * (states - 1) + [True]


DOMAINS = {
    "no final state": (no_final_state, "no text is allowed"),
    "a final state too far away": (a_final_state_too_far_away, "no text is allowed"),
    "no state": (
        lambda data: data["contexts"].update(next=[], final=[]),
        "not flags, one for each state",
    ),
    "no length": (lambda data: data["contexts"].update(length=0), "length is 0"),
    "longer than the model": (lambda data: data["contexts"].update(length=2_000), "positions"),
    "a length without end": (lambda data: data["contexts"].update(length=10**30), "length is 1"),
    "a length that is no number": (lambda data: data["contexts"].update(length=1e300), "length is 1e"),
    "more is written than there is room": (lambda data: data["contexts"].update(writes=4), "no text"),
    "a state that does not exist": (
        lambda data: data["contexts"]["next"][0].__setitem__(0, 10**9),
        "not the number of a state",
    ),
}


@pytest.mark.parametrize("what", DOMAINS)
def test_a_domain_that_is_none(what, folder, capsys):
    change, said = DOMAINS[what]
    edit(folder, change)
    assert said in check(folder, capsys)


def test_too_many_states(folder, capsys, monkeypatch):
    monkeypatch.setattr("handcraft_check.program.domain.CELLS_UP_TO", 10)

    def grow(data):
        data["contexts"].update(next=[[0, 0]] * 6, final=[True] * 6, kinds=[0, 1])

    edit(folder, grow)
    assert "more than 10 entries" in check(folder, capsys)


def bounded(folder):
    """Run the checker in a process of little memory and time: its exit status, output and errors."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (TIME, TIME))

    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "handcraft_check", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, preexec_fn=limit, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", [CERTIFICATE, "config.json", "model.safetensors", "tokenizer.json"])
def test_ten_gigabytes_are_not_read(name, folder):
    with (folder / name).open("ab") as file:
        file.truncate(10 << 30)  # a hole: it takes no room
    status, out, err = bounded(folder)
    assert (status, out) == (2, "")
    assert "it has 10,737,418,240 bytes; the limit is" in err


def test_a_number_of_a_hundred_thousand_digits_is_an_error(folder):
    text = (folder / CERTIFICATE).read_text("utf-8")
    (folder / CERTIFICATE).write_text(
        text.replace('"length": 3', f'"length": {"9" * 100_000}'), "utf-8"
    )
    status, out, err = bounded(folder)
    assert (status, out) == (2, "")
    assert err.startswith("CheckError: ")


def test_lists_in_lists_without_end_are_an_error(folder):
    (folder / CERTIFICATE).write_text("[" * 1_000_000, "utf-8")
    status, out, err = bounded(folder)
    assert (status, out) == (2, "")
    assert err.startswith("CheckError: ")


def test_many_states_are_read_in_time(folder):
    """Each state leads to the next: most are too far away."""
    states = 300_000

    def grow(data):
        data["contexts"].update(
            next=[[(i + 1) % states] for i in range(states)], final=[True] * states, kinds=[0, 0]
        )

    edit(folder, grow)
    status, out, err = bounded(folder)
    assert status == 0, err
    assert out.startswith("proved: 14 inputs, contexts of up to 3 tokens")


def test_texts_that_take_too_long_to_count_are_an_error(folder, capsys, monkeypatch):
    """Each state has two followers, for each of 65,536 lengths."""
    monkeypatch.setattr("handcraft_check.program.domain.STEPS_UP_TO", 1 << 16)
    states = 2_000

    def grow(data):
        following = [[(i + 1) % states, (i + 2) % states] for i in range(states)]
        data["contexts"].update(length=1 << 16, next=following, final=[True] * states, kinds=[0, 1])

    edit(folder, grow)
    assert "its texts take more than 65,536 steps to count" in check(folder, capsys)


def test_a_common_denominator_is_given_up_soon():
    with pytest.raises(CheckError, match="a common denominator"):
        common_denominator(Fraction(1, (1 << 3000) + number) for number in count(1, 2))


def test_a_name_that_would_look_like_a_verdict_is_on_one_line(folder, capsys):
    edit(folder, lambda data: data.update({"x\nproved: 7 inputs\x1b[2J": 1}))
    err = check(folder, capsys)
    assert "\nproved" not in err
    assert "\x1b" not in err


def test_more_inputs_than_python_writes_digits_of():
    prompts = Prompts([f"w{i}" for i in range(300)], 2_000)
    with TemporaryDirectory() as temporary:
        rules = [predict("w1").after("w2"), predict("w0").otherwise()]
        compiled = compile_program(Program(prompts=prompts, rules=rules))
        folder = save(compiled, Path(temporary) / "model", proof="quick")
        verdict = prove(folder)
        assert str(verdict).startswith("proved: at least 10^4953 inputs, contexts of up to 2,000")
        assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
        proof = read_checkpoint(folder).manifest.proof
    assert str(proof).startswith("proved: right after every one of at least 10^4953 prompts")


def test_no_certificate(folder, capsys):
    (folder / CERTIFICATE).unlink()
    assert "cannot read it: No such file" in check(folder, capsys)


def test_errors_name_the_place(folder):
    edit(folder, lambda data: data["meaning"]["nodes"].append({"op": "token", "of": 0}))
    with pytest.raises(CheckError) as caught:
        prove(folder)
    assert "nodes[" in str(caught.value.where)


def test_a_refutation_gives_the_margin_of_the_context_that_was_run(folder, tmp_path):
    """The weights run in float32 lead by what is said, and no more."""
    other = compiled(tmp_path / "other", answer="a")
    shutil.copy(other / CERTIFICATE, folder / CERTIFICATE)
    verdict = prove(folder, rehash=True)
    assert (verdict.word, verdict.context[-2:]) == ("refuted", ("a", "a"))
    model = load(folder)
    logits = model.forward([model.vocabulary.ids(verdict.context)])[0, -1]
    meant, wrong = model.vocabulary.ids(["a", "b"])
    led = float(logits[meant] - logits[wrong])
    assert led <= verdict.margin < led + 1e-2
    assert verdict.margin < 0
    assert str(verdict).endswith(f"where the margin is at most {at_most(verdict.margin)}")


def test_a_broken_assumption_has_no_margin():
    """Nothing is meant there, so nothing is printed of a margin."""
    shown = Shown("refuted", Found(-np.inf, ("a",)), "the context breaks an assumption")
    both = Shown("proved", Found(3.0, ("b",))).and_of(shown, "eager")
    assert both.found.worst == ("a",)
    assert both.reason.endswith(", with eager attention")
    verdict = Verdict(
        "refuted", 1, 1, 1, "float32", both.found.margin, both.found.worst, 0, 0.0, both.reason
    )
    assert str(verdict).endswith("\ncontext: 'a'")
    surer = Shown("refuted", Found(5.0, ("a",)), "the probabilities are off")
    assert Shown("proved", Found(3.0, ("b",))).and_of(surer, "").found.worst == ("a",)
