"""Which heads of a Llama share keys and values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft.circuits import Bias, Coefficients, Head, LinearMap, LookBack, Relation, flag, scalar
from handcraft.errors import LayoutError
from handcraft.weights import Layer, Sizes
from handcraft.weights.rotary.packing import ONE, pack

FLAGS = [flag(f"flag {i}") for i in range(6)]


def head(back: int, *moved: int) -> Head:
    """A head that moves some of the flags."""
    carried = [scalar(f"carried {i}") for i in range(len(moved))]
    moves = [LinearMap(FLAGS[k], c, ((0, 0, 1),)) for k, c in zip(moved, carried, strict=True)]
    writes = [LinearMap(c, FLAGS[5], ((0, 0, 1),)) for c in carried]
    relation = Relation(f"{back} back", (), (), picks_one=True, distance=LookBack(back))
    return Head(f"head {back}", relation, tuple(moves), tuple(writes))


def test_what_several_heads_move_takes_one_channel():
    (groups,) = pack([Layer((head(1, 0, 1), head(2, 1, 2)))], 16, 4, Sizes()).layers
    assert [[each.name for each in group.heads] for group in groups] == [["head 1", "head 2"]]
    assert [column[0][0].name for column in groups[0].columns] == ["flag 0", "flag 1", "flag 2"]


def test_heads_that_carry_too_much_for_one_group_have_groups_of_their_own():
    packed = pack([Layer((head(1, 0, 1), head(2, 2, 3)))], 16, 2, Sizes())
    assert (packed.n_head, packed.n_kv_head) == (2, 2)


def test_the_first_group_has_a_channel_for_what_is_added():
    adds = Bias(Coefficients(FLAGS[5], ((0, 1),)))
    (groups,) = pack([Layer((head(1, 0),), (adds,))], 16, 2, Sizes()).layers
    assert groups[0].columns[0] == ONE
    (groups,) = pack([Layer((), (adds,))], 16, 2, Sizes()).layers
    assert groups[0].columns == (ONE,)


@given(
    st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True), max_size=7),
    st.sampled_from([4, 8, 16, 32]),
)
def test_every_head_is_packed_once_in_order(moved, n_embd):
    heads = tuple(head(i, *each) for i, each in enumerate(moved, 1))
    if len(heads) > n_embd:
        return
    packed = pack([Layer(heads)], n_embd, 4, Sizes())
    found = [(place, each.name) for _, _, some in packed.numbered(0) for place, each in some]
    assert found == [(i, each.name) for i, each in enumerate(heads)]
    assert n_embd % packed.n_head == 0
    for _, group, some in packed.numbered(0):
        assert len(some) <= packed.group_size
        assert len(group.columns) <= 4


def test_sizes_that_are_asked_for_are_kept_or_refused():
    layers = [Layer((head(1, 0), head(2, 0)))]
    packed = pack(layers, 16, 4, Sizes(n_head=4, n_kv_head=2))
    assert (packed.n_head, packed.n_kv_head) == (4, 2)
    with pytest.raises(LayoutError, match="cannot have n_kv_head=3"):
        pack(layers, 16, 4, Sizes(n_kv_head=3))
