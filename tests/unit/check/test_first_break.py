"""An unproved verdict names the part of the model whose bounds are too wide."""

from __future__ import annotations

import runpy
import shutil
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from handcraft import Prompts, compile_program, compile_sequences, save, select
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream
from handcraft_check.claim import read_claim
from handcraft_check.first_break import first_break
from handcraft_check.prove import prove

PROGRAMS = Path(__file__).parents[3] / "programs"
TEXT = "cabcabca"
WIDE = 1e3
NOTHING = "none: even of the last stream without errors it is not shown"


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def folder(request, tmp_path_factory):
    """Induction: a head that finds the token before, and one that finds what followed."""
    program = runpy.run_path(str(PROGRAMS / "induction.py"))["program"]
    folder = tmp_path_factory.mktemp(request.param) / "model"
    compile_program(program, architecture=request.param).save(folder)
    return folder


def blurred(claim, part, layer, position):
    """A claim about a model in which one part has large errors at one position.

    Of attention it is head 0, and of hidden units all.
    """
    model, calls = copy(claim.model), []

    def is_here(at):
        """Parts are bounded at one position after the other."""
        calls.append(at)
        return at == layer and (calls.count(at) - 1) % len(TEXT) == position

    def read_of(at, *read):
        scores, weights, out = type(model).read_of(model, at, *read)
        if is_here(at):
            error = out.error.copy()
            error[:, 0] += WIDE
            out = replace(out, error=error)
        return scores, weights, out

    def feed_forward(at, x):
        found = type(model).feed_forward(model, at, x)
        return Stream.of(Bounded(found.center, found.error + WIDE)) if is_here(at) else found

    setattr(model, part, read_of if part == "read_of" else feed_forward)
    return replace(claim, model=model)


@given(st.data())
def test_the_part_with_large_errors_is_named(folder, data):
    claim = read_claim(folder)
    _ = claim.model.begun  # before its parts are changed
    layer = data.draw(st.integers(0, claim.model.config.n_layer - 1))
    part = data.draw(st.sampled_from(["read_of", "feed_forward"]))
    heads = claim.model.blocks[layer].heads
    assume(part == "feed_forward" or heads.count)
    position = data.draw(st.integers(0, len(TEXT) - 1))
    claim = blurred(claim, part, layer, position)
    found = first_break(claim, TEXT)
    if position == len(TEXT) - 1 or found.startswith("block"):
        name = f"head {heads.numbers[0]}" if part == "read_of" else "hidden unit"
        assert found.startswith(f"block {layer}, {name}")
        assert f" at position {position}: " in found
    else:  # nothing reads that position
        assert found.startswith("none after this text")


def test_a_text_that_is_shown_has_no_such_part(folder):
    assert first_break(read_claim(folder), TEXT).startswith("none after this text on its own")


@pytest.mark.parametrize("steps", ["float32", "bfloat16"])
def test_the_part_is_named_that_weights_off_by_too_much_break(folder, steps):
    found = [prove(folder, radius=2.0**-power, regime=steps) for power in (5, 7)]
    unproved = [each for each in found if each.word == "unproved"]
    assert unproved
    for verdict in unproved:
        assert verdict.broken.startswith(("block ", "the sum of the embeddings", "none after"))
        assert f"\nfirst bound that breaks: {verdict.broken}\n" in str(verdict)
        assert verdict.to_json()["broken"] == verdict.broken
        options = {"radius": 2.0**-5, "regime": steps}
        assert prove(folder, is_located=False, **options).broken == ""


def test_what_is_proved_or_refuted_names_no_part(folder, tmp_path):
    assert prove(folder).broken == ""
    wrong = shutil.copytree(folder, tmp_path / "wrong")
    tensors = load_file(folder / "model.safetensors")
    save_file({name: 0 * tensor for name, tensor in tensors.items()}, wrong / "model.safetensors")
    assert prove(wrong, rehash=True).broken in ("", NOTHING)


@pytest.mark.parametrize("causal", [True, False])
def test_a_part_is_named_of_values_too(tmp_path, causal):
    prompts = Prompts("abc", context=4, causal=causal)
    outputs = {"same": select(prompts.token, prompts.token).count()}
    save(compile_sequences(outputs, architecture="gpt2"), tmp_path / "model")
    verdict = prove(tmp_path / "model", radius=2.0**-6)
    assert verdict.word == "unproved"
    assert verdict.broken.startswith(("block ", "the sum of the embeddings"))
