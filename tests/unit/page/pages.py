"""What the tests of pages share: what to run them with, and the answers of node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from gallery import compiled, facts

from handcraft import compile_program
from handcraft.model import Model
from handcraft.model.forward.llama import LlamaPass
from handcraft.model.layers.rotary import frequencies

PROGRAMS = [
    "aab", "add", "by_hand", "dyck1", "histogram", "induction", "modular", "ngram", "sort", "tictactoe",
]  # fmt: skip
"""Those whose logits are compared with NumPy."""

LLAMAS = ["aab", "flipflop", "induction", "ngram", "rule110"]
"""Those that are compared as Llamas."""

COMPARED = [*((name, "gpt2") for name in PROGRAMS), *((name, "llama") for name in LLAMAS)]

MODULE = files("handcraft.page") / "page.mjs"
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

PHONE = {"width": 390, "height": 844}
"""The size of a phone's screen."""

needs_node = pytest.mark.skipif(NODE is None, reason="node, which runs page.mjs, is not installed")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium, which opens pages, is not installed"
)


class SummedOnce(Model):
    """A model in NumPy as page.mjs computes it: sums in float64, each step rounded once to the dtype.

    A BLAS adds up float32 numbers in an order of its own, so `Model.forward` differs between machines
    by more than the page differs from this.
    """

    @property
    def running_dtype(self):
        return np.dtype(np.float64)

    def _after_step(self, value):
        return value.astype(self.dtype).astype(np.float64)

    def _pass(self, *arguments):
        found = super()._pass(*arguments)
        if isinstance(found, LlamaPass):
            angles = self._angles(np.arange(found.start, found.start + found.count))
            turns = [self._after_step(turn(angles)) for turn in (np.cos, np.sin)]
            found.__dict__["_rotation"] = tuple(turns)  # in place of the cached one in float64
        return found

    def _angles(self, places):
        """As in float32, of which the page has the frequencies."""
        turns = frequencies(self.shape.head_dim, self.architecture.theta, self.dtype)
        return np.tile(self._after_step(places[:, None] * turns.astype(np.float64)), 2)

    @classmethod
    def of(cls, model):
        return cls(model.architecture, model.shape, model.vocabulary, model.tensors)


def gallery_model(name: str, architecture: str = "gpt2"):
    """A program or the circuits of the gallery, compiled."""
    if "program" in facts(name):
        return compiled(name, architecture)
    return compile_program(facts(name)["circuits"], architecture=architecture)


def in_node(folder: Path, data=None, ids=(), texts=(), **more):
    """What page.mjs computes: logits after ids, what texts mean, and `more`, see in_node.mjs."""
    given = folder / "given.json"
    asked = {"data": data, "ids": ids, "texts": texts, **more}
    given.write_text(json.dumps(asked), encoding="utf-8")
    driver = Path(__file__).with_name("in_node.mjs")
    run = subprocess.run(
        [NODE, driver, str(MODULE), given],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NODE_OPTIONS": ""},
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
