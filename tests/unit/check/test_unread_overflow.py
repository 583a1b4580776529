"""What overflows is never proved where nobody reads it: 0 times infinity is no number."""

from __future__ import annotations

import runpy
from pathlib import Path
from random import Random

import numpy as np
import pytest
from safetensors.numpy import save_file
from sweeps import DEEP

from handcraft import compile_program
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.prove import prove

JUDGED = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "judged_folders.py"))

SIZES = (1e20, 3.4e38)

PROGRAMS = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "small_programs.py"))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A program with two blocks, and numbers of different size in the stream."""
    folder = tmp_path_factory.mktemp("original") / "model"
    compile_program(PROGRAMS["programs"]()["earliest"]).save(folder)
    assert prove(folder).word == "proved"
    return JUDGED["Original"].read(folder)


def unread(tensors, block):
    """Places of weights whose results nobody reads, each with the name of its tensor."""
    h = f"transformer.h.{block}."
    width = tensors[f"{h}ln_1.weight"].size
    attention, out = tensors[f"{h}attn.c_attn.weight"], tensors[f"{h}attn.c_proj.weight"]
    up, down = tensors[f"{h}mlp.c_fc.weight"], tensors[f"{h}mlp.c_proj.weight"]
    for norm, reader in (("ln_1", attention), ("ln_2", up)):
        for place in np.flatnonzero(~reader.any(axis=1)):
            yield f"{h}{norm}.weight", place
            yield f"{h}{norm}.bias", place
    queries, keys = attention[:, :width].any(axis=0), attention[:, width : 2 * width].any(axis=0)
    queries |= tensors[f"{h}attn.c_attn.bias"][:width] != 0
    for place in np.flatnonzero(~queries):
        yield f"{h}attn.c_attn.bias", width + place  # a key that meets a query of 0
        yield f"{h}attn.c_attn.weight", (0, width + place)
    for place in np.flatnonzero(~keys & (tensors[f"{h}attn.c_attn.bias"][width : 2 * width] == 0)):
        yield f"{h}attn.c_attn.bias", place
    for place in np.flatnonzero(~out.any(axis=1)):
        yield f"{h}attn.c_attn.bias", 2 * width + place
        yield f"{h}attn.c_attn.weight", (0, 2 * width + place)
    for place in np.flatnonzero(~down.any(axis=1))[:2]:
        yield f"{h}mlp.c_fc.bias", place
        yield f"{h}mlp.c_fc.weight", (0, place)


def test_what_nobody_reads_is_no_number_all_the_same(original, tmp_path):
    original.write(tmp_path)
    path, outcomes = tmp_path / "model.safetensors", set()
    places = [*unread(original.tensors, 0), *unread(original.tensors, 1)]
    kinds = {name.split(".", 3)[3] for name, _ in places}
    assert {"ln_1.weight", "ln_2.weight", "attn.c_attn.bias", "mlp.c_fc.bias"} <= kinds
    grown = [each for each in places if each[0].endswith("h.1.ln_1.weight")]  # some overflow
    for name, place in places if DEEP else [*grown[::3], *Random(0).sample(places, 10)]:
        for size in SIZES:
            tensors = {**original.tensors, name: original.tensors[name].copy()}
            tensors[name][place] = size
            save_file(tensors, path)
            try:
                verdict = prove(tmp_path, rehash=True, budget=1 << 13)
            except CheckError:
                continue
            files, claim = JUDGED["Original"].read(tmp_path), read_claim(tmp_path, rehash=True)
            least = JUDGED["least_margin"](files, claim)
            outcomes.add((verdict.word, least > 0))
            assert verdict.word != "proved" or least >= verdict.margin, (name, place, size)
    assert {("proved", True), ("unproved", False)} <= outcomes
