"""The parameters of a model, part by part."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from handcraft.architecture import BLOCK, GPT2
from handcraft.model import Shape, parameters_by_part

SMALL = Shape(50257, 1024, 768, 12, (3072,) * 12)

sizes = st.integers(1, 40)
shapes = st.builds(
    lambda vocab, positions, head, width, inner: Shape(
        vocab, positions, head * width, head, tuple(inner)
    ),
    sizes,
    sizes,
    st.integers(1, 4),
    sizes,
    st.lists(st.integers(0, 60), max_size=4),
)


@given(shapes, st.sampled_from([BLOCK, GPT2, replace(GPT2, tied=False)]))
def test_the_parts_sum_to_the_parameters_of_the_tensors(shape, architecture):
    counts = parameters_by_part(shape, architecture)
    assert counts.total == shape.parameters(architecture)
    assert str(counts).splitlines()[-1].split() == ["in", "all", f"{counts.total:,}"]


def test_gpt2_small_has_its_published_parts():
    counts = {part.part: part.parameters for part in parameters_by_part(SMALL, GPT2).parts}
    assert counts == {
        "token embedding": 38_597_376,
        "position embedding": 786_432,
        "attention": 12 * (2_360_064 + 3 * 768),
        "MLP": 12 * 4_722_432,
        "LayerNorm": 12 * 3_072 + 1_536,
    }


def test_blocks_of_different_sizes_are_summed():
    text = str(parameters_by_part(Shape(2, 3, 4, 1, (5, 0, 7)), BLOCK))
    assert "3 blocks of 80" in text
    assert "2 blocks\n" in text


def test_an_untied_head_is_a_part_of_its_own():
    tied, untied = (parameters_by_part(SMALL, replace(GPT2, tied=tied)) for tied in (True, False))
    assert untied.total - tied.total == 38_597_376
    assert "also the head" in str(tied)
    assert "also the head" not in str(untied)
