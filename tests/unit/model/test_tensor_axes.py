"""What the axes of tensors count, told from their names alone, agrees with the sizes of the model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handcraft.architecture import BLOCK, GPT2, LLAMA
from handcraft.model import Shape, axes_of, parameters_by_part
from handcraft.model.tensors.tensor_axes import output_matrix

GROUPED = Shape(7, 11, 12, 4, (5, 5), n_kv_head=2, own_head_dim=8)
PLAIN = Shape(7, 11, 12, 3, (5, 0, 13))


def sizes(shape: Shape, block: int | None) -> dict[str, int]:
    heads, keys = shape.n_head * shape.head_dim, shape.kv_heads * shape.head_dim
    return {
        "token": shape.n_vocab,
        "position": shape.n_positions,
        "stream": shape.n_embd,
        "channels": 3 * shape.n_embd,
        "query": heads,
        "output": heads,
        "key": keys,
        "value": keys,
        "unit": 0 if block is None else shape.n_inner[block],
    }


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", [BLOCK, GPT2, LLAMA], ids=["block", "gpt2", "llama"])
def test_every_axis_is_as_long_as_what_it_counts(architecture, tied):
    shape = GROUPED if architecture.is_rotary else PLAIN
    for name, lengths in shape.tensors(replace(architecture, tied=tied)).items():
        found = axes_of(name)
        assert tuple(sizes(shape, found.block)[each] for each in found.counted) == lengths, name


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", [BLOCK, GPT2, LLAMA], ids=["block", "gpt2", "llama"])
def test_the_parts_of_a_model_have_all_of_its_parameters(architecture, tied):
    shape = GROUPED if architecture.is_rotary else PLAIN
    facts = replace(architecture, tied=tied)
    counts = parameters_by_part(shape, facts)
    assert counts.total == shape.parameters(facts)
    names = {part.part for part in counts.parts}
    assert ("position embedding" in names) is not architecture.is_rotary
    assert ("RMSNorm" in names) is architecture.is_rotary
    assert ("head" in names) is not tied


@pytest.mark.parametrize("of", ["attn", "mlp"])
@pytest.mark.parametrize("architecture", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_an_output_matrix_counts_channels_or_units_along_its_axis(architecture, of):
    rotary = architecture.is_rotary
    shape = GROUPED if rotary else PLAIN
    found = output_matrix(0, of, rotary=rotary)
    counted = axes_of(found.weight).counted
    assert counted[found.axis] == {"attn": "output", "mlp": "unit"}[of]
    assert counted[1 - found.axis] == "stream"
    assert (found.bias in shape.tensors(architecture)) is not rotary
