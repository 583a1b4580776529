"""Linear programs do not depend on what else in a process uses the solver."""

from __future__ import annotations

import subprocess
import sys

OTHERS = """
import highspy, numpy as np
solver = highspy._Highs()
solver.setOptionValue("output_flag", False)
solver.setOptionValue("threads", 2)
program = highspy.HighsLp()
program.num_col_, program.num_row_ = 1, 0
program.col_cost_, program.col_lower_, program.col_upper_ = np.ones(1), np.zeros(1), np.ones(1)
solver.passModel(program)
solver.run()
"""

OURS = """
from handcraft.dtype import FLOAT32
from handcraft.rotary.look_back import look_back
from handcraft.rotary.rotation import Rotation
print(look_back(3, Rotation(16, 10_000.0, 65), FLOAT32, 104).queries)
"""


def printed(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_threads_of_others_change_no_query():
    assert printed(OTHERS + OURS) == printed(OURS)
