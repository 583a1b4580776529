"""`handcraft compile`: weight files, and a line or two on what they hold."""

from __future__ import annotations

import json
import re
import shutil
import string
import sys
from math import prod

import numpy as np
import pytest

from handcraft import compile_program
from handcraft.cli.input.sources import find
from handcraft.compiler import show_pass
from handcraft.formats import load
from handcraft.formats.tensors.shards import read_header

BLOCK = ("--architecture", "block")


@pytest.mark.parametrize("architecture", ["gpt2", "block"])
def test_it_writes_what_compiling_gives(run, aab, tmp_path, architecture):
    ran = run("compile", aab, "-o", "out", "--architecture", architecture)
    assert (ran.status, ran.err) == (0, "")
    expected = compile_program(find("aab").source, architecture=architecture).model
    assert load(tmp_path / "out") == expected


def test_a_gpt2_is_written_for_other_tools_by_default(run, aab, tmp_path):
    assert run("compile", aab, "-o", "out").status == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
        "handcraft.json",
    }
    assert load(tmp_path / "out").architecture.name == "gpt2"
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "were run on all 62 contexts of up to 5 tokens, and on 1,019 longer contexts" in card


def test_it_says_what_it_wrote(run, aab):
    printed = run("compile", aab, "--architecture", "block", "-o", "out").out
    first, second, third, fourth = printed.splitlines()
    assert first == "wrote out/: certificate.json, handcraft.json, model.safetensors"
    model = compile_program(find("aab").source, architecture="block").model
    assert second == (
        f"block, float32: 1 block, 1 head, 1 neuron, width {model.shape.n_embd}; "
        f"{model.parameters:,} parameters, {model.nonzero_parameters:,} of them not 0"
    )
    assert third.endswith("measured on all 32 texts of the full length")
    assert fourth.startswith("proved: right after every one of 62 prompts")


def test_json_has_the_same_contents(run, aab, tmp_path):
    options = ("--architecture", "block", "--format", "npz", "--dtype", "float64", "--json")
    ran = run("compile", aab, "-o", "out", *options)
    report = json.loads(ran.out)
    model = load(tmp_path / "out")
    assert report == {
        "folder": "out",
        "files": ["handcraft.json", "model.npz"],
        "architecture": "block",
        "dtype": "float64",
        "rules": 2,
        "blocks": 1,
        "heads": 1,
        "neurons": 1,
        "width": model.shape.n_embd,
        "parameters": model.parameters,
        "nonzero": model.nonzero_parameters,
        "facts": {"texts": 32, "is_all": True},
        "proof": None,
    }


def test_a_pass_is_shown_and_nothing_is_written(run, aab, tmp_path):
    shown = run("compile", aab, "--show", "lower-aggregates")
    assert (shown.status, shown.err) == (0, "")
    assert shown.out == show_pass(find("aab").source, "lower aggregates") + "\n"
    found = json.loads(run("compile", aab, "--show", "lower aggregates", "--json").out)
    assert found == {"pass": "lower aggregates", "text": shown.out.rstrip("\n")}
    assert list(tmp_path.iterdir()) == []


def test_a_pass_over_expressions_is_shown(run, tmp_path):
    (tmp_path / "p.py").write_text(
        'from handcraft import Prompts\ntoken = Prompts("ab", context=3).token\nis_a = token == "a"\n'
    )
    shown = run("compile", "p.py", "--show", "as-written").out
    assert shown.splitlines()[-1] == "'is_a' = %is_a"


def test_on_how_many_texts_the_facts_were_measured_is_said_and_kept(run, tmp_path):
    (tmp_path / "long.rules").write_text(
        "vocabulary a b\ncontext 30\npredict b after aa\npredict a otherwise\n"
    )
    options = ("long.rules", "--n-positions", 30, "-o", "out")
    said = "hard attention, norms and thresholds: measured on 256 texts, and not proved for others"
    assert run("compile", *options).out.splitlines()[-2] == said
    assert said in run("compile", *options, "--report").out.splitlines()
    facts = {"texts": 256, "is_all": False}
    assert json.loads(run("compile", *options, "--json").out)["facts"] == facts
    assert json.loads(run("verify", "out", "--sample", 50, "--json").out)["facts"] == facts
    assert json.loads(run("verify", "aab", "--json").out)["facts"] is None


def test_the_report_counts_the_parameters_of_each_part(run):
    shown = run("compile", "aab", "-o", "out", "--report").out
    assert "  attention " in shown
    assert "1 block of 3,480" in shown


def test_files_with_other_tensors_than_the_model_say_how_many_parameters_they_have(run, tmp_path):
    options = ("compile", "aab", "-o", "out", "--format", "raschka")
    assert "parameters in the files: the head is a tensor of its own" in run(*options).out
    report = json.loads(run(*options, "--json").out)
    stored = read_header(tmp_path / "out" / "model.safetensors")
    sizes = [prod(tensor.shape) for name, tensor in stored.items() if "mask" not in name]
    assert report["parameters_in_files"] == sum(sizes)


def test_circuits_by_hand_have_no_rules(run, by_hand):
    report = json.loads(run("compile", by_hand, "--architecture", "block", "-o", "out", "--json").out)
    assert report["rules"] is None
    assert (report["blocks"], report["heads"], report["width"]) == (1, 1, 8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("format", ["safetensors", "npz"])
@pytest.mark.parametrize("positions", ["auto", "one-hot", "binary"])
def test_every_choice_gives_a_model_that_verifies(run, tmp_path, dtype, format, positions):
    options = ("--dtype", dtype, "--format", format, "--positions", positions)
    assert run("compile", "aab", "-o", "out", *BLOCK, *options).status == 0
    assert load(tmp_path / "out").dtype == dtype
    ran = run("verify", "out")
    assert (ran.status, ran.out.splitlines()[0]) == (0, "tried all 62 contexts")


def test_positions_change_the_tensors_and_not_the_answers(run, tmp_path):
    run("compile", "aab", "-o", "one", *BLOCK, "--positions", "one-hot")
    run("compile", "aab", "-o", "two", *BLOCK, "--positions", "binary")
    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    assert one != two
    ids = np.random.default_rng(0).integers(0, 2, (30, 5))
    np.testing.assert_array_equal(one.forward(ids).argmax(-1), two.forward(ids).argmax(-1))


def test_an_earlier_output_is_replaced(run, tmp_path):
    assert run("compile", "aab", "-o", "out").status == 0
    assert run("compile", "by_hand", "-o", "out", *BLOCK, "--format", "npz").status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["handcraft.json", "model.npz"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_called_like_a_shipped_program_does_not_hide_it(run):
    assert run("compile", "aab", "-o", "aab", *BLOCK).status == 0
    again = run("compile", "aab", "-o", "aab", *BLOCK)
    assert (again.status, again.err) == (0, "")


def test_compiling_twice_gives_the_same_files(run, tmp_path):
    run("compile", "aab", "-o", "one")
    run("compile", "aab", "-o", "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_path_and_a_name_choose_among_several_programs(run, several):
    for name, rules in (("one", 2), ("two", 1)):
        ran = run("compile", f"{several}:{name}", "-o", name, "--json", *BLOCK)
        assert json.loads(ran.out)["rules"] == rules


def test_a_program_may_import_what_lies_beside_it(run, tmp_path):
    (tmp_path / "beside_this_program.py").write_text('TOKENS = "xy"\n')
    (tmp_path / "program.py").write_text(
        "from beside_this_program import TOKENS\n"
        "from handcraft import Program, predict\n"
        'program = Program(TOKENS, 2, [predict("y").otherwise()])\n'
    )
    assert run("compile", "program.py", "-o", "out", *BLOCK).status == 0
    assert load(tmp_path / "out").vocabulary.tokens == ("x", "y")


def test_a_single_thing_is_printed_in_the_singular(run, by_hand):
    ran = run("compile", by_hand, "-o", "out", *BLOCK)
    assert re.search(r": 1 block, 1 head, 0 neurons, ", ran.out)


@pytest.mark.parametrize(
    "options",
    [
        ("--token-ids", "a=64"),
        ("--like", "gpt2-small", "--n-embd", 64),
        ("--like", "gpt2-small", "--n-positions", 64),
        ("--like", "gpt2-small", "--head-dim", 32),
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_an_option_that_would_have_no_effect_is_refused(run, tmp_path, options):
    status = run("compile", "aab", "-o", "out", *options).status
    written = [path.name for path in tmp_path.iterdir()]
    shutil.rmtree(tmp_path / "out", ignore_errors=True)  # half a gigabyte, where it is not refused
    assert (status, written) == (2, [])


@pytest.mark.parametrize("format", ["onnx", "gguf"])
def test_a_missing_package_is_reported_with_the_extra_and_no_temporary_name(run, monkeypatch, format):
    monkeypatch.setitem(sys.modules, format, None)
    ran = run("compile", "aab", "-o", "out", "--format", format)
    assert ran.status == 2
    assert f"pip install 'handcraft[{format}]'" in ran.err
    assert ".out." not in ran.err


def test_optimizing_says_what_each_pass_did_and_makes_it_smaller(run):
    plain = json.loads(run("compile", "parity", "-o", "plain", "--json").out)
    small = json.loads(run("compile", "parity", "-o", "small", "--optimize", "--json").out)
    assert small["parameters"] < plain["parameters"]
    said = run("compile", "parity", "-o", "some", "--passes", "ordinal,angles").out
    assert "  ordinal  2 tokens encoded as one scalar" in said
    assert "merge" not in said


def test_a_pass_that_is_not_known_is_refused_and_nothing_is_written(run, tmp_path):
    result = run("compile", "parity", "-o", "none", "--passes", "ordinal,fuse")
    assert result.status == 2
    assert "no pass 'fuse'" in result.err
    assert not (tmp_path / "none").exists()


def test_rules_encode_tokens_as_requested(run, tmp_path):
    letters = " ".join(string.ascii_lowercase)
    rules = f"vocabulary {letters}\npredict b after ab\npredict c after h\npredict a otherwise\n"
    (tmp_path / "p.rules").write_text(rules, encoding="utf-8")
    wide, narrow = (
        json.loads(run("compile", "p.rules", "-o", tokens, "--tokens", tokens, "--json").out)["width"]
        for tokens in ("one-hot", "binary")
    )
    assert wide > narrow
    assert run("verify", tmp_path / "binary").status == 0


# --- folders, again ----------------------------------------------------------------------------

COPY = """\
from handcraft import Program, Prompts, predict
prompts = Prompts("ab=", context=5, inputs="[ab]{2}=[ab]?")
there = prompts.token.at(-2, default="a")
program = Program(prompts=prompts, rules=[predict(there).otherwise()])
"""


@pytest.fixture(params=["aab", "by_hand", "copy.py"])
def folder(request, run, tmp_path):
    (tmp_path / "copy.py").write_text(COPY)
    assert run("compile", request.param, "-o", "before").status == 0
    return tmp_path / "before"


@pytest.mark.parametrize(
    "options", [BLOCK, ("--dtype", "float64", "--format", "npz"), ("--n-head", 4)], ids=str
)
def test_a_folder_compiled_again_means_the_same(run, folder, options):
    assert run("compile", folder, "-o", "after", *options).status == 0
    before, after = run("verify", folder), run("verify", "after")
    assert (after.status, after.out.splitlines()[0]) == (0, before.out.splitlines()[0])
    for prompt in ("ab=", "ab=a", "aab", "b"):
        before, after = run("run", folder, prompt), run("run", "after", prompt)
        assert (before.status, before.out) == (after.status, after.out)


def test_a_folder_compiled_again_as_it_was_is_the_same_folder(run, folder, tmp_path):
    assert run("compile", folder, "-o", "after").status == 0
    before, after = (load(path) for path in (folder, tmp_path / "after"))
    assert before == after
    records = [
        json.loads((path / "handcraft.json").read_text()) for path in (folder, tmp_path / "after")
    ]
    for record in records:
        del record["facts"]  # they are measured anew, on texts of the circuits
    assert records[0] == records[1]
    cards = [(path / "README.md").read_text() for path in (folder, tmp_path / "after")]
    assert cards[0].split("## Verified")[0] == cards[1].split("## Verified")[0]


def test_a_folder_can_be_compiled_onto_itself(run, folder, tmp_path):
    assert run("compile", folder, "-o", "before", "--dtype", "float64").status == 0
    assert load(folder).dtype == "float64"
