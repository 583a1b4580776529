"""Every shipped program keeps its answers if its model is split, rotated and given distractors."""

from __future__ import annotations

import pytest
from gallery import WRITING, compiled
from sweeps import DEEP

from handcraft import disguise
from handcraft.disguise import Distract, Permute, Rotate, Split

LARGE = () if DEEP else ("modular", "subleq", "tictactoe")
"""Of a million weights and more: `make deep` disguises them too."""


@pytest.mark.parametrize("name", [name for name in WRITING if name not in LARGE])
def test_a_shipped_program_is_disguised(name):
    made = disguise(compiled(name), [Split(), Distract(1, 8), Permute(), Rotate()], seed=1, untie=True)
    assert made.after.passed
    assert made.after.margin > 0.99 * made.before.margin > 20
    for tensor in ("wte.weight", "h.0.attn.c_attn.weight", "h.0.attn.c_proj.weight"):
        before, after = (model.tensors[tensor] for model in (compiled(name).model, made.model))
        assert (after == 0).mean() < (before == 0).mean()
