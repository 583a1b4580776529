"""Every shipped program keeps its answers if its model is split, rotated and given distractors."""

from __future__ import annotations

import pytest
from gallery import WRITING, compiled

from handcraft import disguise
from handcraft.disguise import Distract, Permute, Rotate, Split


@pytest.mark.parametrize("name", WRITING)
def test_a_shipped_program_is_disguised(name):
    made = disguise(compiled(name), [Split(), Distract(1, 8), Permute(), Rotate()], seed=1, untie=True)
    assert made.after.passed
    assert made.after.margin > 0.99 * made.before.margin > 20
    for tensor in ("wte.weight", "h.0.attn.c_attn.weight", "h.0.attn.c_proj.weight"):
        before, after = (model.tensors[tensor] for model in (compiled(name).model, made.model))
        assert (after == 0).mean() < (before == 0).mean()
