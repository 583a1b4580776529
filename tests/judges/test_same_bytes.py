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


PROGRAMS = ["programs/aab.py", "programs/by_hand.py", "ten.rules"]
DTYPES = ["float32", "bfloat16"]

COMPILE = """
import sys
from handcraft.cli.main import main

folder, *programs = sys.argv[1:]
for program in programs:
    for dtype in ("float32", "bfloat16"):
        target = f"{folder}/{program.rpartition('/')[2]}-{dtype}"
        options = ["--architecture", "gpt2", "--dtype", dtype, "-o", target]
        sys.argv = ["handcraft", "compile", program, *options]
        try:
            main()
        except SystemExit as stopped:
            if stopped.code:
                raise
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """For two hash seeds what the command line writes in a process: files and bytes by folder."""
    place = tmp_path_factory.mktemp("same")
    rules = place / "ten.rules"
    rules.write_text(RULES, encoding="utf-8")
    found = []
    for seed in (0, 4_242):
        folder = place / str(seed)
        folder.mkdir()
        programs = [name if name != rules.name else str(rules) for name in PROGRAMS]
        command = [sys.executable, "-c", COMPILE, str(folder), *programs]
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        found.append({each.name: files_in(each) for each in folder.iterdir()})
    return found


def files_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_two_processes_with_different_hash_seeds_write_the_same_bytes(written, program, dtype):
    first, second = (each[f"{program.rpartition('/')[2]}-{dtype}"] for each in written)
    assert {"config.json", "model.safetensors", "tokenizer.json", "handcraft.json"} <= first.keys()
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []


def test_the_bytes_depend_on_the_dtype(written):
    first, second = (written[0][f"aab.py-{dtype}"] for dtype in DTYPES)
    changed = {name for name in first if first[name] != second[name]}
    assert {"config.json", "model.safetensors"} <= changed
