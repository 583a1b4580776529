"""Compiling the same programs in two processes writes the same bytes, whatever the seed of hashes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[3] / "programs"

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

COMPILE_ALL = """
import sys
from pathlib import Path
from handcraft import Program, compile_program, parse_rules, predict
from handcraft.cli.main import main
from handcraft.cli.input.sources import find
from handcraft.formats import save

out, programs = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir()
for program in ("aab.py", "by_hand.py", "ten.rules"):
    for dtype in ("float32", "bfloat16"):
        options = ["--architecture", "gpt2", "--dtype", dtype, "-o", str(out / f"{program}-{dtype}")]
        sys.argv = ["handcraft", "compile", str(programs / program), *options]
        try:
            main()
        except SystemExit as stopped:
            if stopped.code:
                raise
some = ("aab", "by_hand", "induction", "parity", "recall")
sources = {name: find(str(programs / f"{name}.py")).source for name in some}
sources["classes"] = Program(
    "the cat dog sat ran on",
    20,
    [
        predict("sat").after("[the cat dog] [^sat ran]"),
        predict("ran").after("start [the dog] . cat"),
        predict("sat").after(". [cat dog on]"),
        predict("on").after("[^on] sat"),
        predict("the").otherwise(),
    ],
)
neurons = "predict b after aa|predict b after cb|predict c after start a|predict a otherwise"
sources["neurons"] = parse_rules(neurons.replace("|", chr(10)))
for name, source in sources.items():
    for format in ("safetensors", "npz"):
        for dtype in ("float32", "float64"):
            compiled = compile_program(source, architecture="block", dtype=dtype)
            save(compiled, out / f"{name}-{format}-{dtype}", format=format)
    if name not in ("aab", "by_hand"):
        gpt2 = compile_program(source, architecture="gpt2", n_positions=source.context)
        save(gpt2, out / f"{name}-huggingface")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory, everything_in):
    """For two seeds, and files of two ages, what a process writes: the bytes by file."""
    place = tmp_path_factory.mktemp("same")
    found = []
    for seed in ("1", "271828"):
        programs = place / f"programs{seed}"
        shutil.copytree(PROGRAMS, programs, ignore=shutil.ignore_patterns("__pycache__"))
        (programs / "ten.rules").write_text(RULES, encoding="utf-8")
        for path in programs.glob("*"):
            os.utime(path, (int(seed), int(seed)))
        done = subprocess.run(
            [sys.executable, "-c", COMPILE_ALL, str(place / seed), str(programs)],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC+{len(seed)}"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        found.append(everything_in(place / seed))
    return found


def test_two_processes_with_other_hash_seeds_write_the_same_bytes(written):
    one, other = written
    files = [name for name, data in one.items() if data is not None]
    assert len(files) >= 3 * (2 * 2 * 2 + 5)
    for name in ("aab.py", "by_hand.py", "ten.rules"):
        for file in ("config.json", "model.safetensors", "tokenizer.json", "handcraft.json"):
            assert f"{name}-bfloat16/{file}" in files
    assert list(one) == list(other)
    assert [name for name in one if one[name] != other[name]] == []


def test_the_bytes_depend_on_the_dtype(written):
    for file in ("config.json", "model.safetensors"):
        assert written[0][f"aab.py-float32/{file}"] != written[0][f"aab.py-bfloat16/{file}"]
