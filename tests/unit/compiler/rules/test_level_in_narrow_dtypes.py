"""In half precision LayerNorm divides by one power of two wherever a program can be stored in bits."""

from __future__ import annotations

import gallery
import pytest

from handcraft.weights.norms import divides_exactly
from handcraft_check.prove import prove


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["induction", "parity", "rule110"])
def test_layernorm_rounds_nothing(name, dtype):
    plan = gallery.compiled(name, dtype=dtype).plan
    assert divides_exactly(plan.norms, plan.layout)
    assert gallery.compiled(name).plan.layout.has_ballast  # it is smaller


def test_what_cannot_be_is_compiled_beside_ballast():
    assert gallery.compiled("dyck1", dtype="bfloat16").plan.layout.has_ballast


def test_patterns_are_as_small_as_before():
    assert gallery.compiled("aab", dtype="bfloat16").plan.layout.n_embd == 29


def test_every_step_is_proved(tmp_path):
    gallery.compiled("parity", dtype="bfloat16").save(tmp_path / "model")
    verdict = prove(tmp_path / "model", regime="bfloat16")
    assert verdict.word == "proved"
    assert verdict.margin >= 80
