"""What would change an answer is refused with numbers, and what is advised was tried."""

import re

import numpy as np
import pytest
from gallery import compiled as gallery_model

from handcraft import HandcraftError, Program, compile_program, disguise, predict
from handcraft.disguise import Distract, Match, Noise, Pad, Permute, Rotate, Split, Superpose
from handcraft.errors import LayoutError, PrecisionError, ProofError

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
WORDS = {
    "Superpose": Superpose,
    "Noise": Noise,
    "Match": Match,
    "None": None,
}


@pytest.fixture(scope="module")
def compiled():
    return compile_program(AAB)


def advised(error):
    """The transform that an error advises."""
    return eval(re.search(r"use (\w+\(.*?\)):", error.fix)[1], {}, WORDS)


def test_too_few_dimensions_name_the_prompt_the_margins_and_what_holds(compiled):
    with pytest.raises(PrecisionError) as found:
        disguise(compiled, [Permute(), Superpose(10), Rotate()])
    error = found.value
    assert re.match(
        r"superpose breaks [\d,]+ of [\d,]+ answers: after '[ab]+' the model would answer '[ab]', and "
        r"'[ab]' is right; the margin was [\d.]+ and would be -[\d.]+",
        error.what,
    )
    assert "Superpose(n_embd=10" in error.where
    holds = advised(error)
    made = disguise(compiled, [Permute(), holds, Rotate()])
    assert made.model.shape.n_embd == holds.n_embd < 29
    for n_embd in range(11, holds.n_embd):  # it is the least that holds
        with pytest.raises(HandcraftError):
            disguise(compiled, [Permute(), Superpose(n_embd), Rotate()])


def test_too_much_noise_advises_a_radius_that_holds(compiled):
    with pytest.raises(PrecisionError) as found:
        disguise(compiled, [Noise(1.0, radius=0.5)])
    assert found.value.what.startswith("noise breaks")
    holds = advised(found.value)
    assert holds.radius < 0.5
    disguise(compiled, [holds])


def test_a_dtype_with_too_few_digits_advises_float32(compiled):
    with pytest.raises(PrecisionError) as found:
        disguise(compiled, [Rotate()], dtype="bfloat16")
    assert found.value.fix.startswith("use dtype='float32': ")
    disguise(compiled, [Rotate()], dtype="float32")


def test_a_dtype_without_such_large_numbers_is_refused(compiled):
    with pytest.raises(PrecisionError, match="float16 has no numbers as large"):
        disguise(compiled, [Match(), Rotate()], dtype="float16")


def test_what_is_exact_holds_in_half_precision(compiled):
    half = compile_program(AAB, dtype="bfloat16")
    assert disguise(half, [Permute(), Distract(2, 2, "pairs")]).model.dtype == half.model.dtype


def test_the_interference_that_is_allowed_is_kept(compiled):
    with pytest.raises(LayoutError, match="the interference is") as found:
        disguise(compiled, [Superpose(12, interference=1e-9)])
    enough = int(re.search(r"n_embd=(\d+)", found.value.fix)[1])
    made = disguise(compiled, [Superpose(enough, interference=1e-9)])
    assert made.measured["interference"] <= 1e-9


def test_as_many_dimensions_as_are_written_lose_nothing(compiled):
    made = disguise(compiled, [Superpose(28)])
    assert made.measured["interference"] < 1e-9
    assert made.after.margin == pytest.approx(made.before.margin, rel=1e-4)
    back = made.carried.inverse @ made.carried.stream
    written = compiled.model.tensors["h.0.mlp.c_proj.weight"].astype(float)
    assert np.allclose(written @ back.T, written, atol=1e-9)


WRONG = {
    "Split(9, 1)": (lambda: Split(9, 1), "a whole number from 1 to 8"),
    "Split(0, 1)": (lambda: Split(0, 1), "a whole number from 1 to 8"),
    "Split(2.0)": (lambda: Split(2.0), "a whole number from 1 to 8"),
    "Distract(-1)": (lambda: Distract(-1), "a whole number from 0"),
    "an odd number of pairs": (lambda: Distract(1, 2, "pairs"), "an even number"),
    "writes nonsense": (lambda: Distract(1, 2, "all"), "mean or pairs"),
    "a flag of 3": (lambda: Rotate(within_heads=3), "True or False"),
    "a flag that is a text": (lambda: Permute(units="no"), "True or False"),
    "no strength": (lambda: Match(0), "above 0 and up to 1"),
    "too much strength": (lambda: Match(1.5), "above 0 and up to 1"),
    "too much noise": (lambda: Noise(2), "above 0 and up to 1"),
    "no radius": (lambda: Noise(0.5, radius=0), "above 0 and up to 1"),
    "one dimension": (lambda: Superpose(1), "2 or more"),
    "an interference of 2": (lambda: Superpose(9, interference=2), "from 0 to 1"),
    "no width": (lambda: Pad(n_embd=0), "a whole number from 1"),
    "a width that is too large": (lambda: Pad(n_embd=10**9), "a whole number from 1"),
    "another GPT-2": (lambda: Pad.like("gpt2-tiny"), "gpt2-small"),
    "heads that do not divide": (
        lambda: disguise(compile_program(AAB), [Pad(n_embd=64, n_head=7)]),
        "use n_head=4, or n_embd=70 with n_head=7",
    ),
    "a narrower stream": (
        lambda: disguise(compile_program(AAB), [Pad(n_embd=12)]),
        "n_embd=29 or more",
    ),
    "heads too narrow": (
        lambda: disguise(compile_program(AAB), [Pad(n_embd=64, n_head=32)]),
        "use n_head=4, or n_embd=320 with n_head=32",
    ),
    "more heads than the width has room for": (
        lambda: disguise(compile_program(AAB), [Pad(n_head=4)]),
        "use n_head=1, or n_embd=40 with n_head=4",
    ),
    "a wider superposition": (lambda: disguise(compile_program(AAB), [Superpose(29)]), "fewer than 29"),
    "a seed below 0": (lambda: disguise(compile_program(AAB), [Rotate()], seed=-1), "from 0"),
    "a seed that is a text": (lambda: disguise(compile_program(AAB), [Rotate()], seed="1"), "from 0"),
    "no transform": (lambda: disguise(compile_program(AAB), []), "at least one"),
    "a class": (lambda: disguise(compile_program(AAB), [Rotate]), "such as Rotate()"),
    "a dtype": (lambda: disguise(compile_program(AAB), [Rotate()], dtype="int8"), "float32"),
    "the mean without LayerNorm": (
        lambda: disguise(compile_program(AAB, architecture="block"), [Distract()]),
        "writes='pairs'",
    ),
    "superposition without LayerNorm": (
        lambda: disguise(compile_program(AAB, architecture="block"), [Superpose(4)]),
        "for gpt2",
    ),
}


@pytest.mark.parametrize(("wrong", "fix"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_an_error_with_a_fix(wrong, fix):
    with pytest.raises(HandcraftError) as found:
        wrong()
    assert fix in found.value.fix


OUT_OF_RANGE = [
    name for name in WRONG if not any(word in name for word in ("GPT-2", "dtype", "seed", "class"))
][:14]


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_a_parameter_out_of_range_is_named_with_what_it_says(name):
    with pytest.raises(LayoutError) as found:
        WRONG[name][0]()
    assert re.match(r"\w+\(\w+=.*\): .+ is ", found.value.what)
    assert found.value.where == found.value.what.partition("(")[0]


def test_a_long_prompt_is_not_shown_in_full(monkeypatch):
    monkeypatch.setattr("handcraft.display.CHARACTERS", 8)
    with pytest.raises(PrecisionError, match="rotate breaks") as refused:
        disguise(gallery_model("add"), [Rotate()], dtype="float16", untie=True)
    assert re.search(r"after '=\d{3}'\.\.\. \d\d in all the model", refused.value.what)


def test_noise_needs_a_certificate_or_a_radius(compiled):
    with pytest.raises(ProofError, match="no radius can be proved") as found:
        disguise(compiled.model, [Noise()])
    assert "Noise(radius=1e-6)" in found.value.fix
    disguise(compiled.model, [Noise(radius=1e-6)])


def test_noise_below_rounding_is_refused(compiled):
    with pytest.raises(ProofError, match="rounding them to float32"):
        disguise(compiled, [Noise(1e-4, radius=1e-4)])
