"""In half precision a provable model is one in which LayerNorm divides by one power of two."""

from __future__ import annotations

import gallery
import pytest

from handcraft.model import as_reordered, as_rounded
from handcraft.verify import verify
from handcraft.weights.norms import divides_exactly
from handcraft_check.prove import prove


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["induction", "parity", "rule110"])
def test_layernorm_rounds_nothing(name, dtype):
    provable = gallery.compiled(name, dtype=dtype, provable=True)
    assert divides_exactly(provable.plan.norms, provable.plan.layout)
    smallest = gallery.compiled(name, dtype=dtype)
    assert smallest.model.parameters <= provable.model.parameters
    assert gallery.compiled(name).plan.layout.has_ballast  # it is smaller


@pytest.mark.parametrize("name", ["induction", "add", "palindrome"])
def test_the_smallest_that_is_right_is_smaller_unless_a_proof_is_asked_for(name):
    smallest = gallery.compiled(name, dtype="bfloat16")
    assert smallest.plan.layout.has_ballast
    provable = gallery.compiled(name, dtype="bfloat16", provable=True)
    assert smallest.model.parameters < 0.6 * provable.model.parameters
    for run in (as_rounded, as_reordered):
        assert verify(run(smallest.model), smallest.source, every_up_to=2_000, sample=500).passed


def test_in_float32_they_are_the_same():
    assert gallery.compiled("induction", provable=True).model == gallery.compiled("induction").model


def test_what_cannot_be_is_compiled_beside_ballast():
    compiled = gallery.compiled("dyck1", dtype="bfloat16", provable=True)
    assert compiled.plan.layout.has_ballast


def test_patterns_are_as_small_as_before():
    assert gallery.compiled("aab", dtype="bfloat16", provable=True).plan.layout.n_embd == 29


def test_every_step_is_proved(tmp_path):
    gallery.compiled("parity", dtype="bfloat16", provable=True).save(tmp_path / "model")
    verdict = prove(tmp_path / "model", regime="bfloat16")
    assert verdict.word == "proved"
    assert verdict.margin >= 80
