"""Layouts: where every subspace lies, and every channel of a head."""

from __future__ import annotations

import re
import runpy
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from sweeps import sweep

from handcraft import Program, compile_program, predict
from handcraft.architecture import GPT2
from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Neuron,
    Ramp,
    Reuse,
    embed_token,
    flag,
    ideal_next,
    one_hot,
    scalar,
)
from handcraft.errors import LayoutError
from handcraft.testing import assert_agreement, rule_programs
from handcraft.verify import check_stream
from handcraft.weights import Sizes, allocate_layout

PROGRAMS = Path(__file__).parents[3] / "programs"


@pytest.fixture(scope="module")
def by_hand() -> Circuits:
    return runpy.run_path(str(PROGRAMS / "by_hand.py"))["circuits"]


@pytest.fixture(scope="module")
def aab(two_heads):
    return compile_program(two_heads, architecture="block")


def test_one_head_over_subspaces_of_the_stream_is_aligned_with_it(by_hand):
    layout = allocate_layout(by_hand)
    assert (layout.is_aligned, layout.n_head, layout.n_embd, layout.head_dim) == (True, 1, 8, 8)
    assert layout.dimension_names == (
        "position 0",
        "position 1",
        "position 2",
        "position 3",
        "position 4",
        "token a",
        "token b",
        "scratch",
    )


def test_an_aligned_head_uses_the_dimensions_of_the_stream(by_hand):
    layout = allocate_layout(by_hand)
    head = by_hand.blocks[0].heads[0]
    matching, carried = layout.channel_start(head)
    (position,), (scratch,) = head.matching, head.carried
    assert matching[position] == layout.start[position] == 0
    assert carried[scratch] == layout.start[scratch] == 7


def test_several_heads_are_packed_from_their_first_channel(aab):
    layout = aab.layout
    assert (layout.is_aligned, layout.n_head) == (False, 2)
    for head in aab.circuits.blocks[0].heads:
        matching, carried = layout.channel_start(head)
        assert min(matching.values()) == min(carried.values()) == 0


def test_a_head_whose_channels_are_not_in_the_stream_is_packed():
    rules = [predict("b").after("aa"), predict("a").otherwise()]
    program = Program("ab", 4, rules)
    layout = compile_program(program, architecture="block", positions="one-hot").layout
    assert (layout.is_aligned, layout.n_head) == (False, 1)


def test_all_heads_are_as_wide_as_the_widest_needs(aab):
    widest = max(head.width for head in aab.circuits.blocks[0].heads)
    assert aab.layout.head_dim >= widest
    assert aab.layout.n_embd == aab.layout.n_head * aab.layout.head_dim


def test_dimensions_past_the_last_subspace_are_spare(aab):
    used = sum(subspace.width for subspace in aab.layout.subspaces)
    spare = aab.layout.n_embd - used
    assert spare > 0
    assert aab.layout.dimension_names[used:] == tuple(f"spare {i}" for i in range(spare))


def test_a_mirrored_layout_holds_every_coordinate_and_its_opposite():
    rules = [predict("b").after("aa"), predict("a").otherwise()]
    program = Program("ab", 3, rules)
    layout = compile_program(program, architecture="gpt2", n_positions=3).layout
    for subspace in layout.subspaces:
        for i, name in enumerate(subspace.dimension_names):
            assert layout.dimension_names[layout.start[subspace] + i] == name
            assert layout.dimension_names[layout.opposite(subspace, i)] == f"-{name}"


def raising(*blocks_of_flags: tuple[str, ...]) -> Circuits:
    """Blocks whose neurons raise flags after a and a last block that answers b where one is up."""
    token = one_hot("token", "ab")
    reads = (Coefficients.per_value(token, {"a": 1}),)
    blocks = [
        Block(
            neurons=tuple(
                Neuron(f"raise {name}", reads, 1, (Coefficients(flag(name), ((0, 1),)),))
                for name in names
            )
        )
        for names in blocks_of_flags
    ]
    is_up = (Coefficients(flag("up"), ((0, 1),)),)
    answer = Neuron("answer", is_up, 1, (Coefficients(token, ((1, 4),)),))
    return Circuits(
        "ab",
        2,
        embedding=[embed_token(token)],
        blocks=[*blocks, Block(neurons=(answer,))],
        unembedding=token,
    )


@pytest.mark.parametrize(
    ("flags", "has_ballast"),
    [
        ([("up",)], False),
        ([("up", "other")], False),
        ([("other",), ("up",)], False),
        ([("up",), ("up",)], True),
    ],
)
def test_a_flag_keeps_its_length_unless_it_is_raised_twice(flags, has_ballast):
    made = raising(*flags)
    compiled = compile_program(made, architecture="gpt2")
    assert compiled.layout.has_ballast is has_ballast
    texts = [[0, 0], [0, 1], [1, 0], [1, 1]]
    answers = compiled.model.forward(texts).argmax(axis=-1)
    assert answers.tolist() == ideal_next(made, texts).tolist()


def test_a_mean_has_no_static_length_and_is_right_with_ballast(by_hand):
    texts = list(product(range(2), repeat=5))
    model = compile_program(by_hand, architecture="gpt2").model
    assert model.forward(texts).argmax(axis=-1).tolist() == ideal_next(by_hand, texts).tolist()


@pytest.mark.parametrize("sizes", [Sizes(n_embd=24), Sizes(n_head=4), Sizes(head_dim=8)])
def test_requested_sizes_are_used(sizes):
    rules = [predict("b").after("aa"), predict("a").otherwise()]
    compiled = compile_program(Program("ab", 5, rules), architecture="block", sizes=sizes)
    layout = compiled.layout
    for size in ("n_embd", "n_head", "head_dim"):
        assert getattr(sizes, size) in (None, getattr(layout, size))
    assert_agreement(compiled)


def test_a_width_that_is_too_small_says_which_is_enough():
    rules = [predict("b").after("aa"), predict("a").otherwise()]
    program = Program("ab", 5, rules)
    with pytest.raises(LayoutError, match="but n_embd=6") as caught:
        compile_program(program, architecture="block", sizes=Sizes(n_embd=6))
    enough = int(re.search(r"n_embd=(\d+)", caught.value.fix)[1])
    compile_program(program, architecture="block", sizes=Sizes(n_embd=enough))


def test_circuits_without_heads_need_no_dimensions_for_heads():
    token = one_hot("token", "abc")
    made = Circuits("abc", 2, embedding=[embed_token(token)], blocks=[Block()], unembedding=token)
    layout = allocate_layout(made)
    assert (layout.n_head, layout.n_embd) == (1, 3)


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@settings(max_examples=sweep(100))
@given(program=rule_programs())
def test_subspaces_are_adjacent_and_heads_are_wide_enough(architecture, program):
    asked = {"architecture": architecture, "n_positions": program.context, "tokens": "binary"}
    for positions in ("one-hot", "binary"):  # with bits of tokens every subspace is mirrored
        compiled = compile_program(program, positions=positions, **asked)
        layout = compiled.layout
        ways = 2 if architecture == "gpt2" else 1
        taken = [
            layout.start[subspace] + i
            for subspace in layout.subspaces
            for i in range(ways * subspace.width)
        ]
        assert taken == list(range(len(taken)))
        assert len(taken) <= layout.n_embd == len(layout.dimension_names)
        assert len(set(layout.dimension_names)) == layout.n_embd
        for block in compiled.circuits.blocks:
            for head in block.heads:
                for channels in layout.channel_start(head):
                    ends = [start + subspace.width for subspace, start in channels.items()]
                    assert max(ends, default=0) <= layout.head_dim


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@settings(max_examples=sweep(100))
@given(program=rule_programs())
def test_every_row_and_column_of_every_tensor_has_a_name(architecture, program):
    compiled = compile_program(program, architecture=architecture, n_positions=program.context)
    for name, placed in compiled.placement.tensors.items():
        assert tuple(len(axis) for axis in placed.axes) == placed.shape
        assert placed.shape == compiled.model.tensors[name].shape
        for index in placed.values:
            assert "unused" not in placed.describe(index)
            assert "spare" not in placed.describe(index) or ".ln_" in name


def sharing() -> Circuits:
    """A flag of the token, cleared, in whose place a sum lies; a one-hot value in that of the token."""
    token, seen, later = one_hot("token", "ab"), scalar("seen"), scalar("later")
    label = one_hot("label", "xy")
    first = Block(neurons=(Neuron("sees", (Coefficients(token, ((1, 1),)),), 1, (one(seen),)),))
    ramps = [clearing(seen), clearing(token, 0), clearing(token, 1)]
    says = Neuron("says", (one(seen),), 1, (one(later), Coefficients(label, ((1, 1),))), gap=1)
    second = Block(neurons=(says, *ramps))
    return Circuits(
        "ab",
        2,
        embedding=[embed_token(token)],
        blocks=[first, second],
        unembedding=None,
        results=[later, label],
        reuses=[Reuse(later, seen), Reuse(label, token)],
    )


def one(subspace) -> Coefficients:
    return Coefficients(subspace, ((0, 1),))


def clearing(subspace, i=0) -> Ramp:
    read, write = (Coefficients(subspace, ((i, n),)) for n in (1, -1))
    return Ramp(f"clear {subspace} {i}", (read,), 0, (), 1, 1, (write,))


def test_what_takes_the_place_of_another_has_its_dimensions():
    layout = allocate_layout(sharing())
    assert layout.dimension_names == (
        "token a, then label x",
        "token b, then label y",
        "seen, then later",
    )
    assert (layout.n_embd, layout.width, layout.reused) == (3, 3, 3)


def test_behind_a_norm_only_scalars_take_the_place_of_another():
    layout = allocate_layout(sharing(), GPT2)
    assert {str(s): start for s, start in layout.start.items()} == {
        "token": 0,
        "seen": 4,
        "later": 4,
        "label": 5,
    }
    assert layout.reused == 1
    assert "seen, then later" in layout.dimension_names


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_weights_that_share_dimensions_do_what_the_circuits_mean(architecture):
    compiled = compile_program(sharing(), architecture=architecture)
    assert check_stream(compiled) > 0
