"""Hypothesis is for tests: whoever installs the package alone compiles every program without it."""

from __future__ import annotations

import subprocess
import sys

ALONE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hypothesis":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from handcraft import compile_program, save
from handcraft.cli.input.sources import find, shipped_programs

sources = {name: find(name).source for name in shipped_programs()}
assert len(sources) > 20
save(compile_program(sources["tictactoe"]), "game")
assert "hypothesis" not in sys.modules
"""


def test_shipped_programs_are_read_compiled_and_tried_without_hypothesis_and_without_a_word(tmp_path):
    command = [sys.executable, "-c", ALONE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "game" / "model.safetensors").exists()
