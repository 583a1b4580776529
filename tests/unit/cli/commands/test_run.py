"""`handcraft run`: a prompt and what follows it, on one line."""

from __future__ import annotations

import json

import numpy as np
import pytest


def test_it_prints_exactly_the_prompt_and_its_continuation(run, aab):
    ran = run("run", aab, "aab")
    assert (ran.status, ran.out, ran.err) == (0, "aab :: aabaabaaba\n", "")


def test_a_shipped_program_is_found_by_its_name(run):
    assert run("run", "aab", "aab").out == "aab :: aabaabaaba\n"
    assert run("run", "by_hand", "a").out == "a :: baabaabaab\n"


def test_a_compiled_folder_runs(run, aab, tmp_path):
    assert run("compile", aab, "-o", tmp_path / "out").status == 0
    ran = run("run", tmp_path / "out", "aab")
    assert (ran.status, ran.out, ran.err) == (0, "aab :: aabaabaaba\n", "")


def test_a_rules_file_runs(run, tmp_path):
    (tmp_path / "aab.rules").write_text(
        "# aab\nvocabulary a b\ncontext 5\npredict b after aa\npredict a otherwise\n"
    )
    ran = run("run", "aab.rules", "aab")
    assert (ran.status, ran.out, ran.err) == (0, "aab :: aabaabaaba\n", "")


@pytest.mark.parametrize("n", [0, 1, 3, 40])
def test_n_tokens_are_added(run, n):
    assert run("run", "aab", "aab", "-n", n).out == f"aab :: {('aab' * 20)[:n]}\n"


def test_a_prompt_longer_than_the_context_is_continued(run):
    assert run("run", "aab", "b" * 9 + "aa", "-n", 3).out == "bbbbbbbbbaa :: baa\n"


def test_a_rule_on_the_command_line_stands_in_for_a_program(run):
    ran = run("run", "-e", "predict b after aa", "aab")
    assert (ran.status, ran.out) == (0, "aab :: aabaabaaba\n")
    assert ran.err == "note: no rule covers the other contexts: added `predict a otherwise`\n"


def test_an_otherwise_that_is_said_needs_no_note(run):
    ran = run("run", "-e", "predict b after aa", "-e", "predict a otherwise", "aab")
    assert (ran.status, ran.out, ran.err) == (0, "aab :: aabaabaaba\n", "")


def test_rules_may_stand_after_the_prompt(run):
    assert run("run", "aab", "-e", "predict b after aa").out == "aab :: aabaabaaba\n"


def test_words_are_continued_with_blanks(run):
    ran = run("run", "-e", "predict sat after the cat", "the cat", "-n", 2)
    assert ran.out == "the cat :: sat cat\n"


def test_a_hidden_rule_is_warned_of_and_nothing_fails(run):
    rules = ("predict a after a", "predict b after aa", "predict b otherwise")
    ran = run("run", *(part for rule in rules for part in ("-e", rule)), "ab", "-n", 2)
    assert (ran.status, ran.out) == (0, "ab :: bb\n")
    assert ran.err == (
        "warning: predict b after aa (-e:2:1) can never fire: predict a after a (-e:1:1) comes first\n"
    )


def test_json_holds_prompt_and_completion(run):
    ran = run("run", "aab", "aab", "--json", "-n", 4)
    assert json.loads(ran.out) == {"prompt": "aab", "completion": "aaba", "tokens": 4}
    assert ran.err == ""


def test_json_stays_json_with_a_note(run):
    ran = run("run", "-e", "predict b after aa", "aab", "--json")
    assert json.loads(ran.out)["completion"] == "aabaabaaba"


def test_json_keeps_tokens_outside_ascii(run):
    ran = run("run", "-e", "predict é after ü", "-e", "predict ü otherwise", "ü", "--json")
    assert "é" in ran.out
    assert json.loads(ran.out)["completion"] == "éü" * 5


@pytest.fixture
def unsure(run, tmp_path):
    """A folder whose model gives both tokens the same logits."""
    options = ("--architecture", "block", "--format", "npz")
    run("compile", "aab", "-o", tmp_path / "unsure", *options)
    path = tmp_path / "unsure" / "model.npz"
    with np.load(path) as archive:
        tensors = {name: np.zeros_like(archive[name]) for name in archive.files}
    np.savez(path, **tensors)
    return tmp_path / "unsure"


def test_a_temperature_samples_and_a_seed_repeats(run, unsure):
    def sampled(*more):
        return run("run", unsure, "a", "-n", 30, "--temperature", 1, *more).out

    assert sampled("--seed", 1) == sampled("--seed", 1)
    assert sampled("--seed", 1) != sampled("--seed", 2)
    assert set(sampled("--seed", 1).split(" :: ")[1].strip()) == {"a", "b"}


def test_the_best_token_is_taken_without_a_temperature(run, unsure):
    assert run("run", unsure, "a").out == "a :: aaaaaaaaaa\n"
    assert run("run", unsure, "a", "--temperature", 1, "--top-k", 1).out == "a :: aaaaaaaaaa\n"


def test_a_tiny_temperature_is_no_error(run):
    ran = run("run", "aab", "aab", "--temperature", "1e-310", "--seed", 0)
    assert (ran.status, ran.out, ran.err) == (0, "aab :: aabaabaaba\n", "")


# --- allowed prompts -----------------------------------------------------------------------------

COPY = """\
from handcraft import Program, Prompts, predict
prompts = Prompts("ab=", context=5, inputs="[ab]{2}=[ab]?")
there = prompts.token.at(-2, default="a")
program = Program(prompts=prompts, rules=[predict(there).otherwise()])
"""
REFUSED = """\
PromptError: 'b' is not allowed here; expected '='
  where: token 3 of 'abb='
  fix:   allowed prompts match [ab]{2}=[ab]?, for example 'ab='; --regardless answers any prompt
"""


@pytest.fixture(params=["program", "folder"])
def copy(request, run, tmp_path):
    """A program with allowed prompts, or the folder that it was compiled to."""
    (tmp_path / "copy.py").write_text(COPY)
    if request.param == "program":
        return "copy.py"
    assert run("compile", "copy.py", "-o", "copy").status == 0
    return "copy"


def test_an_answer_ends_where_nothing_more_is_promised(run, copy):
    ran = run("run", copy, "ab=")
    assert (ran.status, ran.out, ran.err) == (0, "ab= :: ab\n", "")
    assert run("run", copy, "ab=a").out == "ab=a :: b\n"


def test_a_prompt_outside_the_grammar_is_refused(run, copy):
    ran = run("run", copy, "abb=")
    assert (ran.status, ran.out, ran.err) == (2, "", REFUSED)
    assert run("run", copy, "abb=", "-n", 0).status == 2


def test_more_tokens_than_are_promised_are_not_written_and_that_is_said(run, copy):
    ran = run("run", copy, "ab=", "-n", 5)
    assert (ran.status, ran.out) == (0, "ab= :: ab\n")
    assert ran.err == "note: nothing is promised after 2 of 5 tokens; --regardless continues\n"
    for n in (0, 1, 2):
        ran = run("run", copy, "ab=", "-n", n)
        assert (ran.out, ran.err) == (f"ab= :: {'ab'[:n]}\n", "")


def test_json_says_how_many_tokens_were_written(run, copy):
    ran = run("run", copy, "ab=", "-n", 5, "--json")
    assert json.loads(ran.out) == {"prompt": "ab=", "completion": "ab", "tokens": 2}


def test_any_prompt_is_answered_regardless_and_any_answer_goes_on(run, copy):
    ran = run("run", copy, "abb=", "--regardless")
    assert (ran.status, len(ran.out)) == (0, len("abb= :: \n") + 10)
    slid = "note: the text has 13 tokens, but the model sees only the last 5"
    assert ran.err.startswith(slid if copy.endswith(".py") else "")  # circuits have no rules to ask
    assert run("run", copy, "ab=", "-n", 4, "--regardless").out == "ab= :: ab=a\n"


def test_without_allowed_prompts_regardless_changes_nothing(run):
    assert run("run", "aab", "aab", "--regardless").out == "aab :: aabaabaaba\n"


STRATEGY = """\
from hypothesis import strategies
from handcraft import Program, Prompts, predict
prompts = Prompts("ab", context=5, inputs=strategies.text("a", min_size=1), BOS)
program = Program(prompts=prompts, rules=[predict("b").otherwise()])
"""


@pytest.mark.parametrize("saved", [False, True])
def test_a_strategy_cannot_check_a_prompt_and_allows_every_one(run, tmp_path, saved):
    (tmp_path / "p.py").write_text(STRATEGY.replace(", BOS", ""))
    if saved:
        assert run("compile", "p.py", "-o", "p").status == 0
    ran = run("run", "p" if saved else "p.py", "bb")
    assert (ran.status, ran.out, ran.err) == (0, "bb :: bbbbbbbbbb\n", "")


@pytest.mark.parametrize("saved", [False, True])
def test_the_first_token_is_checked_besides_a_strategy(run, tmp_path, saved):
    (tmp_path / "p.py").write_text(STRATEGY.replace("BOS", "bos='a'"))
    if saved:
        assert run("compile", "p.py", "-o", "p").status == 0
    name = "p" if saved else "p.py"
    assert run("run", name, "ab").out == "ab :: bbbb\n"
    ran = run("run", name, "bb")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("PromptError: 'b' is not allowed here; expected 'a'\n")


THRICE = """\
from handcraft import Program, Prompts, predict
prompts = Prompts("ab=", context=9, inputs="[ab]{3}=", writes=3)
there = prompts.token.at(-3, default="a").assume("ab")
program = Program(prompts=prompts, rules=[predict(there).otherwise()])
"""
UNWRITTEN = """\
PromptError: 'b' where the program writes 'a'
  where: token 5 of 'abb=b'
  fix:   leave out what is to be written; --regardless answers any prompt
"""


@pytest.fixture(params=["program", "folder"])
def thrice(request, run, tmp_path):
    """A program that copies three letters, or the folder that it was compiled to."""
    (tmp_path / "thrice.py").write_text(THRICE)
    if request.param == "program":
        return "thrice.py"
    assert run("compile", "thrice.py", "-o", "thrice").status == 0
    return "thrice"


def test_an_answer_is_written_whole_or_the_rest_of_it(run, thrice):
    for written in ("", "a", "ab"):
        ran = run("run", thrice, f"abb={written}")
        assert (ran.status, ran.err) == (0, "")
        assert ran.out == f"abb={written} :: {'abb'[len(written) :]}\n"
    ran = run("run", thrice, "abb=", "-n", 5)
    assert ran.out == "abb= :: abb\n"
    assert ran.err == "note: nothing is promised after 3 of 5 tokens; --regardless continues\n"


def test_an_answer_that_it_would_not_have_begun_is_refused(run, thrice):
    ran = run("run", thrice, "abb=b")
    assert (ran.status, ran.out, ran.err) == (2, "", UNWRITTEN)
    assert run("run", thrice, "abb=b", "-n", 1, "--regardless").out == "abb=b :: b\n"
    ran = run("run", thrice, "abb=abb")
    assert ran.status == 2
    assert ran.err.startswith("PromptError: 'b' is not allowed here; expected the end of the prompt\n")


def test_without_a_prompt_an_input_is_proposed(run, thrice):
    assert run("run", thrice).err.rstrip().endswith(f"as in handcraft run {thrice} aaa=")


def test_a_sum_is_written_whole(run):
    assert run("run", "add", "=12345678900+98765432100=").out == (
        "=12345678900+98765432100= :: 01111111110\n"
    )
