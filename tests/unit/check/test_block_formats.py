"""Weights in blocks of GGUF are those that its own package reads, and a proof is about these."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from handcraft import Program, Prompts, compile_program, predict
from handcraft.weights.layout import Sizes
from handcraft_check.arithmetic.block_formats import BLOCK_FORMATS, SIZE, in_blocks
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.prove import prove

gguf = pytest.importorskip("gguf")
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def stored(rows, name):
    """What the gguf package reads of what it writes: [row, dimension]."""
    kind = gguf.GGMLQuantizationType[name.upper()]
    quants = gguf.quants
    return quants.dequantize(quants.quantize(rows.astype(np.float32), kind), kind)


@pytest.mark.parametrize("name", BLOCK_FORMATS)
@given(seeds, st.sampled_from(["any", "few digits", "sparse", "tiny", "ends"]))
def test_numbers_are_those_that_gguf_reads(name, rng, kind):
    rows = rng.normal(size=(3, 64)) * 2.0 ** rng.integers(-8, 8)
    if kind == "few digits":  # many halves
        rows = np.rint(rows * 4) / 4
    elif kind == "sparse":
        rows *= rng.random(rows.shape) < 0.1
    elif kind == "tiny":  # scales that float16 has few digits for, or none
        rows *= 2.0 ** -rng.integers(8, 24)
    elif kind == "ends":
        rows = np.where(rows < 0, -1.0, 1.0) * rng.integers(0, 3, size=rows.shape)
    rows = rows.astype(np.float32).astype(np.float64)
    found = in_blocks(rows, name)[0]
    assert (found == stored(rows, name)).all()
    assert (found[rows == 0] == 0).all()


def fused(row):
    """The digits of Q4_0 where x * (1 / scale) + 8.5 is rounded once to float32, from whole numbers."""
    largest = max(row.tolist(), key=abs)
    scale = np.float32(largest) / np.float32(-8)
    inverse = Fraction(float(np.float32(1) / scale))
    moved = [np.float32(float(Fraction(x) * inverse + Fraction(17, 2))) for x in row.tolist()]
    return np.array([min(15, int(each)) - 8 for each in moved]) * float(np.float16(scale))


@given(seeds)
def test_every_way_of_rounding_is_listed(rng):
    """Sixteenths of the largest number lie between two digits, and 1 / scale decides on which side."""
    row = (rng.integers(-16, 17, size=32) * np.float32(rng.uniform(0.5, 2))).astype(np.float32)
    row[rng.integers(32)] = 16 * np.float32(rng.uniform(0.5, 2))
    twice, once = in_blocks(row[None].astype(np.float64), "q4_0")
    assert (once[0] == fused(row.astype(np.float64))).all()
    assert (twice == stored(row[None], "q4_0")).all()


def program():
    prompts = Prompts("ab", context=4)
    return Program(prompts=prompts, rules=[predict("b").after("aa"), predict("a").otherwise()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("blocks") / "model"
    compile_program(program(), sizes=Sizes(n_embd=32)).save(found)
    return found


@pytest.mark.parametrize("name", BLOCK_FORMATS)
def test_a_proof_is_about_what_gguf_reads(name, folder, tmp_path):
    """The folder in the regime, and in float32 a folder with what the gguf package reads."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    for key, tensor in tensors.items():
        if tensor.ndim == 2 and "wpe" not in key:
            is_rows = "wte" in key or "lm_head" in key
            changed = stored(tensor if is_rows else tensor.T, name)
            tensors[key] = np.ascontiguousarray(changed if is_rows else changed.T)
    save_file(tensors, tmp_path / "model.safetensors")
    there = prove(tmp_path, rehash=True)
    here = prove(folder, regime=name)
    assert (here.word, here.margin, here.context) == (there.word, there.margin, there.context)
    assert name.upper() in here.arithmetic
    assert here.margin != prove(folder).margin


def test_rows_that_are_no_blocks_are_refused_with_a_width_that_serves(tmp_path):
    compile_program(program(), sizes=Sizes(n_embd=40)).save(tmp_path / "model")
    with pytest.raises(CheckError, match="40 numbers a row, and q8_0 has blocks of 32") as refused:
        read_claim(tmp_path / "model", regime="q8_0")
    assert "--n-embd 64" in str(refused.value)
    compile_program(program(), sizes=Sizes(n_embd=64)).save(tmp_path / "wider")
    assert prove(tmp_path / "wider", regime="q8_0").word == "proved"


@pytest.mark.parametrize("name", BLOCK_FORMATS)
def test_a_scale_that_float16_has_not_is_refused(name, folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.h.0.mlp.c_fc.weight"][:, :2] *= np.float32(1e9)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckError, match=r"c_fc\.weight has a number that is too large for"):
        read_claim(tmp_path, rehash=True, regime=name)


def test_a_number_that_writers_round_differently_is_refused(folder, tmp_path):
    """GCC makes one step of `x * id + 8.5` if a processor has it: 45 of 48 becomes 48, not 42."""
    row = np.zeros((1, SIZE))
    row[0, :2] = 48, 45
    assert [each[0, 1] for each in in_blocks(row, "q4_0")] == [42, 48]
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.h.0.attn.c_proj.weight"][:, 0] = row[0] / 4096
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckError, match=r"c_proj\.weight has a number that q4_0 rounds up or down"):
        read_claim(tmp_path, rehash=True, regime="q4_0")
    assert read_claim(tmp_path, rehash=True, regime="q8_0").domain.count() == 30
