"""`handcraft verify`: contexts tried, failures, the smallest margin; 1 on any failure."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture
def broken(run, tmp_path):
    """The compiled reference program with one weight turned around."""
    run("compile", "aab", "--architecture", "block", "-o", "broken", "--format", "npz")
    path = tmp_path / "broken" / "model.npz"
    with np.load(path) as archive:
        tensors = {name: archive[name] for name in archive.files}
    row, column = np.argwhere(tensors["h.0.mlp.c_proj.weight"])[0]
    tensors["h.0.mlp.c_proj.weight"][row, column] *= -1
    np.savez(path, **tensors)
    return tmp_path / "broken"


@pytest.mark.parametrize("program", ["aab", "broken", "induction", "by_hand"])
def test_workers_give_the_report_of_one_process(run, broken, program):
    alone = run("verify", program, "--json")
    assert alone.status == (program == "broken")
    together = run("verify", program, "--json", "--workers", "2")
    assert (together.status, together.out) == (alone.status, alone.out)


@pytest.mark.parametrize("program", ["aab", "by_hand"])
def test_a_right_program_passes(run, program):
    ran = run("verify", program, "--architecture", "block")
    assert ran.status == 0
    tried, *compared, failures, margin = ran.out.splitlines()
    assert compared == (
        [] if program == "aab" else ["compared with the ideal circuits, not with rules"]
    )
    assert tried == "tried all 62 contexts"
    assert failures == "failures: 0"
    assert margin.startswith("smallest logit margin: ")
    assert ", after '" in margin


def test_a_right_folder_passes(run, tmp_path):
    run("compile", "aab", "--architecture", "block", "-o", "out")
    ran = run("verify", "out")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == run("verify", "aab", "--architecture", "block").out


@pytest.fixture
def edited(run, tmp_path):
    """The compiled reference program as a repository, whose config.json splits the stream otherwise."""
    run("compile", "aab", "-o", "edited", "--n-positions", 8)
    path = tmp_path / "edited" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "n_head": 12}))
    return tmp_path / "edited"


def test_a_key_that_other_tools_read_fails_with_1_and_is_named(run, edited):
    ran = run("verify", edited)
    assert ran.status == 1
    assert ran.out.splitlines()[0] == "disagrees: config.json: n_head is 12, and 1 is right"
    assert "tried all 62 contexts" in ran.out
    assert "failures: 0" not in ran.out
    report = json.loads(run("verify", edited, "--json").out)
    assert report["passed"] is False
    assert report["files"] == [
        {"file": "config.json", "key": "n_head", "what": "is 12, and 1 is right"}
    ]


def test_a_folder_without_its_config_fails_with_1(run, edited):
    (edited / "config.json").unlink()
    ran = run("verify", edited)
    assert ran.status == 1
    assert ran.out.splitlines() == [
        "disagrees: config.json: the file is missing",
        "tried no context: no model can be built from these files",
    ]


def test_running_a_folder_that_disagrees_says_so(run, edited):
    ran = run("run", edited, "aab")
    assert (ran.status, ran.out) == (0, "aab :: aabaabaaba\n")
    assert "other tools may read another: config.json: n_head is 12, and 1 is right" in ran.err


def test_a_gpt2_passes_past_the_length_of_its_program_too(run):
    ran = run("verify", "aab")
    assert ran.status == 0
    tried, longer, failures, margin = ran.out.splitlines()
    assert tried == "tried all 62 contexts"
    assert longer == "and 65,216 longer contexts: each further position after every window of 2 tokens"
    assert failures == "failures: 0"
    assert margin.startswith("smallest logit margin: ")


def test_a_wrong_weight_fails_with_1_and_is_shown(run, broken):
    ran = run("verify", broken)
    assert ran.status == 1
    assert ran.out.splitlines()[0] == "tried all 62 contexts"
    assert "failures: 0" not in ran.out
    assert "  after 'aa': expected 'b', answered 'a' (margin -" in ran.out


def test_more_failures_than_are_shown_are_counted(run, broken, tmp_path):
    path = tmp_path / "broken" / "model.npz"
    with np.load(path) as archive:
        np.savez(path, **{name: np.zeros_like(archive[name]) for name in archive.files})
    lines = run("verify", broken).out.splitlines()
    assert lines[1] == "failures: 62"
    assert lines[-1] == "  and 52 more"
    assert len([line for line in lines if line.startswith("  after ")]) == 10


def test_json_reports_a_pass(run):
    ran = run("verify", "aab", "--architecture", "block", "--json")
    report = json.loads(ran.out)
    assert (ran.status, ran.err) == (0, "")
    assert report["passed"] is True
    assert report["contexts"] == report["tried"] == 62
    assert report["exhaustive"] is True
    assert report["failures"] == []
    assert report["smallest_margin"] > 100


def test_json_reports_a_failure(run, broken):
    ran = run("verify", broken, "--json")
    report = json.loads(ran.out)
    assert ran.status == 1
    assert report["passed"] is False
    assert report["failed"] >= 1
    assert report["failures"][0]["context"] == "aa"
    assert report["failures"][0]["expected"] == "b"
    assert report["failures"][0]["answered"] == "a"


def test_a_json_report_that_no_number_fits_is_still_json(run, tmp_path):
    (tmp_path / "one.rules").write_text("vocabulary a\ncontext 3\npredict a otherwise\n")
    ran = run("verify", "one.rules", "--architecture", "block", "--json")
    assert json.loads(ran.out)["smallest_margin"] is None
    assert "smallest" not in run("verify", "one.rules", "--architecture", "block").out


@pytest.fixture
def long_context(tmp_path):
    (tmp_path / "long.rules").write_text(
        "vocabulary a b c d e f g h i j\ncontext 12\npredict b after aa\npredict a otherwise\n"
    )
    return "long.rules"


def test_too_many_contexts_are_sampled_and_that_is_said(run, long_context):
    options = ("--architecture", "block", "--sample", 250, "--seed", 3)
    ran = run("verify", long_context, *options)
    assert ran.status == 0
    assert ran.out.splitlines()[0] == "tried 250 random contexts of 1.11e+12 (seed 3)"


def test_a_rule_that_a_sample_never_reaches_is_a_warning(run, tmp_path):
    words = "abcdefgh"
    (tmp_path / "many.rules").write_text(
        f"vocabulary {' '.join(words)}\ncontext 12\n"
        + "".join(f"predict {b} after {a} {a} {b}\n" for a in words for b in words)
        + "predict a otherwise\n"
    )
    ran = run("verify", "many.rules", "--architecture", "block", "--sample", 12)
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert " of 65 rules decided, and " in lines[1]
    assert lines[2].startswith("warning: no context that was tried made this rule decide: predict ")
    assert " more rules" in ran.out


def test_what_selections_found_in_given_prompts_is_said(run, tmp_path):
    (tmp_path / "words.py").write_text(
        "from handcraft import Program, Prompts, predict, select\n"
        "prompts = Prompts('abc', context=4)\n"
        "token = prompts.token\n"
        "seen = select(token, 'c').exists()\n"
        "first = select(token, 'a').earliest(prompts.position, default=0)\n"
        "rules = [predict('b').when(seen), predict('c').when(first == 1), predict('a').otherwise()]\n"
        "program = Program(prompts=prompts, rules=rules)\n"
    )
    (tmp_path / "prompts.txt").write_text("a\nab\naba\n")
    ran = run("verify", "words.py", "--prompts", "prompts.txt")
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert (
        "1 of 2 selections found a source somewhere, and 1 of the 2 that may select none did so"
        in lines
    )
    seen = "seen = select(token, 'c').exists()"
    warned = f"warning: no position that was tried selected a source: {seen} (words"
    assert [line for line in lines if line.startswith(warned)]
    told = "note: every position that was tried selected a source: first = select(token, 'a').earliest("
    assert [line for line in lines if line.startswith(told)]
    report = json.loads(run("verify", "words.py", "--prompts", "prompts.txt", "--json").out)
    assert [(each["some"], each["none"]) for each in report["selections"]] == [(0, 6), (6, 0)]


def test_a_folder_of_circuits_says_that_it_is_not_compared_with_rules(run, tmp_path):
    (tmp_path / "words.py").write_text(
        "from handcraft import Program, Prompts, predict, select\n"
        "prompts = Prompts('abc', context=20)\n"
        "seen = select(prompts.token, 'c').exists()\n"
        "rules = [predict('b').when(seen), predict('a').otherwise()]\n"
        "program = Program(prompts=prompts, rules=rules)\n"
    )
    run("compile", "words.py", "-o", "out", "--architecture", "block")
    said = "compared with the ideal circuits, not with rules"
    lines = run("verify", "out", "--sample", 60).out.splitlines()
    assert lines[1:3] == ["in this sample 2 of 3 tokens were the right answer at least once", said]
    report = json.loads(run("verify", "out", "--sample", 60, "--json").out)
    assert (report["rules_counted"], report["rules"]) == (False, [])
    assert report["answers"]["b"] > 0
    ran = run("verify", "words.py", "--architecture", "block", "--sample", 60)
    assert said not in ran.out
    counted = (
        "in this sample 2 of 2 rules decided, and 2 of 3 tokens were the right answer at least once"
    )
    assert counted in ran.out
    assert said in run("verify", "by_hand").out  # every context is tried, and nothing is counted


def test_given_prompts_are_judged_and_no_others(run, tmp_path):
    (tmp_path / "prompts.txt").write_text("aa\n\nab\naaabaa\n")
    run("compile", "aab", "-o", "out")
    for name in ("aab", "out"):
        ran = run("verify", name, "--prompts", "prompts.txt")
        assert ran.status == 0
        assert ran.out.splitlines()[:3] == [
            "tried 3 given prompts",
            "in this sample 2 of 2 rules decided, "
            "and 2 of 2 tokens were the right answer at least once",
            "failures: 0",
        ]
        report = json.loads(run("verify", name, "--prompts", "prompts.txt", "--json").out)
        assert (report["tried"], report["exhaustive"]) == (3, False)


@pytest.mark.parametrize("token", "\x0b\x0c\x1c\x1e\x85\u2028\u2029")
def test_a_given_prompt_ends_where_its_line_ends(run, tmp_path, token):
    (tmp_path / "p.py").write_text(
        "from handcraft import Program, predict\n"
        f"program = Program(['a', {token!r}], 3, [predict('a').otherwise()])\n"
    )
    (tmp_path / "prompts.txt").write_text(f"a{token}a\n", encoding="utf-8")
    ran = run("verify", "p.py", "--architecture", "block", "--prompts", "prompts.txt")
    assert ran.out.startswith("tried 1 given prompt")


def test_given_prompts_that_are_invalid_are_reported_with_their_lines(run, tmp_path):
    (tmp_path / "prompts.txt").write_text("aa\nac\n" + "a" * 1025 + "\n")
    ran = run("verify", "aab", "--prompts", "prompts.txt")
    assert ran.status == 2
    assert "'c' is not in the vocabulary" in ran.err
    assert "where: line 2, token 2 of 'ac'" in ran.err
    assert "the prompt has 1025 tokens; the limit is 1024" in ran.err
    assert "where: line 3" in ran.err


def test_a_given_prompt_that_is_not_allowed_is_an_error(run, tmp_path):
    (tmp_path / "prompts.txt").write_text("12+34\n")
    ran = run("verify", "add", "--prompts", "prompts.txt")
    assert ran.status == 2
    assert "where: line 1" in ran.err


def test_a_negative_seed_is_refused(run, long_context):
    assert run("verify", long_context, "--sample", 5, "--seed", -1).status == 2


def test_json_states_the_sample(run, long_context):
    options = ("--architecture", "block", "--sample", 250, "--seed", 3)
    report = json.loads(run("verify", long_context, *options, "--json").out)
    assert report["exhaustive"] is False
    assert (report["tried"], report["seed"]) == (250, 3)
    assert report["contexts"] == 1_111_111_111_110


@pytest.mark.parametrize("context", [308, 400, 4400])
def test_any_number_of_contexts_can_be_said(run, tmp_path, context):
    (tmp_path / "huge.rules").write_text(
        f"vocabulary a b c d e f g h i j\ncontext {context}\npredict a otherwise\n"
    )
    options = ("--architecture", "block", "--sample", 2)
    ran = run("verify", "huge.rules", *options)
    assert ran.status == 0
    assert ran.out.startswith("tried 2 random contexts of ")
    ran = run("verify", "huge.rules", *options, "--json")
    assert ran.status == 0
    assert json.loads(ran.out)["passed"] is True


def test_a_long_context_of_one_token_is_tried_whole(run, tmp_path):
    (tmp_path / "one.rules").write_text("vocabulary a\ncontext 1100\npredict a otherwise\n")
    ran = run("verify", "one.rules", "--architecture", "block")
    assert (ran.status, ran.out.splitlines()[0]) == (0, "tried all 1,100 contexts")


@pytest.mark.parametrize("options", [("--dtype", "float64"), ("--positions", "binary")])
def test_a_program_is_verified_as_it_would_be_compiled(run, options):
    assert run("verify", "aab", "--architecture", "block", *options).status == 0


@pytest.mark.parametrize("options", [("--dtype", "float64"), ("--positions", "binary")])
def test_a_folder_cannot_be_verified_as_something_that_it_is_not(run, options):
    """Its weights are what they are: an option that would have no effect is refused."""
    run("compile", "aab", "--architecture", "block", "-o", "out")
    assert run("verify", "out", *options).status == 2


@pytest.fixture
def few_allowed(tmp_path):
    """A program with 3,100 allowed prompts among very many contexts."""
    (tmp_path / "few.py").write_text(
        "from handcraft import Program, Prompts, predict\n"
        'prompts = Prompts("0123456789+=", context=30, inputs=r"[0-9]\\+[0-9]=[01]?[0-9]?")\n'
        'program = Program(prompts=prompts, rules=[predict("0").otherwise()])\n'
    )
    return "few.py"


def test_all_allowed_prompts_are_tried_where_they_are_few(run, few_allowed):
    ran = run("verify", few_allowed)
    assert ran.status == 0
    assert ran.out.splitlines()[0] == "tried all 3,100 allowed prompts"
    run("compile", few_allowed, "-o", "few")
    assert run("verify", "few").out.splitlines()[0] == "tried all 3,100 allowed prompts"


def test_allowed_prompts_are_sampled_where_they_are_many(run):
    ran = run("verify", "add", "--sample", 220, "--seed", 2)
    assert ran.status == 0
    assert ran.out.splitlines()[0] == "tried 220 random allowed prompts (seed 2)"


def test_what_a_program_writes_is_tried_too(run, tmp_path):
    (tmp_path / "copy.py").write_text(
        "from handcraft import Program, Prompts, predict\n"
        'prompts = Prompts("ab=", context=9, inputs="[ab]{1,3}=", writes=2)\n'
        'last = prompts.token.at(-1, default="a").assume("ab")\n'
        "program = Program(prompts=prompts, rules=[predict(last).otherwise()])\n"
    )
    ran = run("verify", "copy.py")
    assert (ran.status, ran.out.splitlines()[0]) == (1, "tried all 28 allowed prompts")
    assert "failures: 14\n" in ran.out
    assert "is '=' at position 2 of 'a = a', and 'a' 'b' is assumed" in ran.out
