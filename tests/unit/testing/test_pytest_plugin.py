"""The pytest plugin in a process of its own, as in a project that uses handcraft, or does not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from handcraft import BLOCK, Program, compile_program, predict, save

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])

RULES = """
from handcraft import Program, compile_program, predict
from handcraft.testing import assert_means

program = Program("ab", 5, [
    predict("b").after("aa"),
    predict("a").otherwise(),
])

compiled = compile_program(program, architecture="block")

@program.parametrize()
def test_rule(rule):
    assert_means(compiled, rule)
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest in an empty project, with the plugin and nothing of ours besides."""

    def run(text, *arguments, **environment):
        (tmp_path / "test_it.py").write_text(text, encoding="utf-8")
        (tmp_path / "pytest.ini").touch(exist_ok=True)
        plugins = ["-p", "no:cacheprovider", "-p", "handcraft.testing.plugin"]
        inherited = {k: v for k, v in os.environ.items() if k not in ("CI", "HANDCRAFT_PROFILE")}
        return subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env=inherited | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        )  # fmt: skip

    return run


def test_each_rule_is_a_line(run):
    ran = run(RULES, "-v")
    assert ran.returncode == 0, ran.stdout
    assert "test_it.py::test_rule[predict b after aa] PASSED" in ran.stdout
    assert "test_it.py::test_rule[predict a otherwise] PASSED" in ran.stdout


def test_a_failure_names_rule_and_line_and_says_why(run):
    broken = "\ntensors = compiled.model.tensors\nname = 'h.0.mlp.c_proj.weight'\n"
    broken += "from handcraft.testing import as_model\n"
    broken += "broken = as_model({name: 0 * tensors[name]}, like=compiled)\n"
    ran = run(
        RULES.replace("assert_means(compiled", "assert_means(broken").replace(
            "@program", broken + "\n@program"
        )
    )
    assert ran.returncode == 1
    out = ran.stdout
    assert "1 failed, 1 passed" in out
    assert "after 'aa' the model answers 'a', and 'b' is meant" in out
    assert "test_it.py:6:" in out
    assert "why the answer after 'aa'" in out
    assert "What adds up to the logits" in out
    assert "handcraft/testing/means" not in out  # no frame of ours is between the line and the message


def test_a_project_that_does_not_use_handcraft_imports_nothing_of_it(run):
    code = "import sys\ndef test_one():\n    assert not {'numpy', 'hypothesis'} & sys.modules.keys()\n"
    code += "    assert not [name for name in sys.modules if name.startswith('handcraft.language')]\n"
    code += "    assert 1 == 2\n"
    ran = run(code)
    assert "assert 1 == 2" in ran.stdout
    assert "handcraft:" not in ran.stdout
    ran = run(code.replace("assert 1 == 2", "pass"), "--collect-only", "-q")
    assert ran.returncode == 0


def test_the_profile_decides_how_much_is_tried(run):
    code = "from handcraft.testing import assert_means\ndef test_it():\n"
    code += "    found = assert_means(lambda ids: [1, 0], lambda _: 'a', vocabulary='ab', longest=13)\n"
    code += "    print('tried', found.tried, found.is_all)\n"
    assert "tried 16382 True" not in run(code, "-s").stdout
    assert "tried 16382 True" in run(code, "-s", "--handcraft-profile=ci").stdout
    assert "tried 16382 True" in run(code, "-s", HANDCRAFT_PROFILE="ci").stdout
    assert "tried 16382 True" in run(code, "-s", CI="1").stdout
    dev = run(code, "-s", "--handcraft-profile=dev", CI="1")
    assert "tried 16382 True" not in dev.stdout
    assert "handcraft: profile dev, every prompt up to 5,000, else 2,000" in dev.stdout
    assert "invalid choice" in run(code, "--handcraft-profile=most").stderr
    wrong = run(code, HANDCRAFT_PROFILE="most")
    assert wrong.returncode == 4
    assert "there is no profile 'most'" in wrong.stderr + wrong.stdout


def test_a_model_can_be_named_on_the_command_line(run, tmp_path):
    save(compile_program(AAB, architecture=BLOCK), tmp_path / "aab")
    code = "from handcraft.testing import assert_means\ndef test_it(handcraft_model):\n"
    code += "    assert_means(handcraft_model, lambda p: 'b' if p.endswith('aa') else 'a')\n"
    assert run(code, "--handcraft-model", "aab").returncode == 0
    (tmp_path / "pytest.ini").write_text("[pytest]\nhandcraft_model = aab\n")
    assert run(code).returncode == 0
    (tmp_path / "pytest.ini").write_text("")
    ran = run(code)
    assert ran.returncode == 1
    assert "give --handcraft-model DIR" in ran.stdout


def test_the_options_are_in_the_help(run):
    assert "--handcraft-profile" in run("", "--help").stdout
    assert "handcraft_model" in run("", "--fixtures").stdout


def test_the_plugin_is_read_by_pytest_in_no_time():
    """The modules that it adds to those that pytest has anyway."""
    code = "import pytest, sys; before = set(sys.modules); import handcraft.testing.plugin\n"
    code += "print(*sorted(set(sys.modules) - before))"
    added = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert {name for name in added if not name.startswith("handcraft")} == set()
    assert len(added) < 10, added
