"""Compiling the same program in two processes writes the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from judges import ROOT

RULES = """
vocabulary the cat dog sat ran on a mat
context 9
predict sat after [the a] [cat dog]
predict on after [cat dog] sat
predict the after [^the a] on
predict mat after on the
predict mat after on a
predict ran after start dog
predict cat after the . .
predict dog after a
predict a after ran
predict the otherwise
"""


def written(folder, seed, *arguments):
    """The files that the command line writes in a process of its own: names and bytes."""
    command = [sys.executable, "-m", "handcraft", "compile", *map(str, arguments), "-o", str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("program", ["programs/aab.py", "programs/by_hand.py", "ten rules"])
def test_two_processes_with_different_hash_seeds_write_the_same_bytes(tmp_path, program, dtype):
    if program == "ten rules":
        program = tmp_path / "ten.rules"
        program.write_text(RULES, encoding="utf-8")
    arguments = (program, "--architecture", "gpt2", "--dtype", dtype)
    first = written(tmp_path / "first", 0, *arguments)
    second = written(tmp_path / "second", 4_242, *arguments)
    assert {"config.json", "model.safetensors", "tokenizer.json", "handcraft.json"} <= first.keys()
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []


def test_the_bytes_depend_on_the_dtype(tmp_path):
    first = written(tmp_path / "first", 0, "programs/aab.py", "--dtype", "float32")
    second = written(tmp_path / "second", 0, "programs/aab.py", "--dtype", "bfloat16")
    changed = {name for name in first if first[name] != second[name]}
    assert {"config.json", "model.safetensors"} <= changed
