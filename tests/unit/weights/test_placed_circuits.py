"""Placed circuits: which entry of which tensor a head, a neuron or a bias becomes."""

from __future__ import annotations

import gallery
import pytest
from sympy import Symbol

from handcraft import compile_program
from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Encoding,
    Head,
    Neuron,
    bias,
    copy,
    embed_position,
    embed_token,
    ideal_logits,
    look_back,
    one_hot,
    scalar,
)
from handcraft.errors import CircuitError
from handcraft.origin import Origin
from handcraft.weights import PlacedTensor

TOKEN = one_hot("token", "abc")
POSITION = one_hot("position", range(3))


def compiled(*blocks: Block, **changes):
    tables = [embed_position(POSITION), embed_token(TOKEN)]
    made = Circuits("abc", 3, embedding=tables, blocks=blocks, unembedding=TOKEN, **changes)
    return compile_program(made, architecture="block")


def neuron(numbers: dict, at_least: int, name: str = "n") -> Neuron:
    reads = (Coefficients.per_value(TOKEN, numbers),)
    return Neuron(name, reads, at_least, (Coefficients(TOKEN, ((2, 10),)),))


def logits_of_c(found) -> list[float]:
    """The logit of c after each token, without the echo."""
    logits = found.model.forward([[0], [1], [2]])[:, 0, 2]
    return [float(logits[0]), float(logits[1]), float(logits[2]) - 1]


@pytest.mark.parametrize(
    ("numbers", "at_least", "units", "fires"),
    [
        ({"a": 1}, 1, 1, [1, 0, 0]),
        ({"a": 1, "b": 2, "c": 3}, 3, 1, [0, 0, 1]),
        ({"a": 1, "b": 2, "c": 3}, 2, 2, [0, 1, 1]),
        ({"a": 1, "b": 2, "c": 5}, 1, 2, [1, 1, 1]),
        ({"a": -1}, 0, 1, [0, 1, 1]),
        ({"a": 7}, -3, 2, [1, 1, 1]),
        ({"a": 1}, 2, 1, [0, 0, 0]),
    ],
)
def test_a_neuron_whose_sum_can_exceed_its_threshold_takes_two_units_and_is_still_0_or_1(
    numbers, at_least, units, fires
):
    found = compiled(Block(neurons=(neuron(numbers, at_least),)))
    assert found.model.shape.n_inner == (units,)
    assert logits_of_c(found) == [10 * fire for fire in fires]
    assert ideal_logits(found.circuits, [[0], [1], [2]])[:, 0, 2].tolist() == [
        10 * fires[0],
        10 * fires[1],
        10 * fires[2] + 1,
    ]


def test_the_second_unit_of_a_neuron_is_named_capped_and_served_by_the_same_origin():
    found = compiled(Block(neurons=(neuron({"a": 2, "b": 1}, 1, "one"), neuron({"a": 1}, 1, "two"))))
    placed = found.placement.tensors["h.0.mlp.c_fc.weight"]
    assert placed.axes[1] == ("one", "one, capped", "two")
    assert found.origins("h.0.mlp.c_proj.weight", 0, 5) == (Origin("neuron one"),)
    assert found.origins("h.0.mlp.c_proj.weight", 1, 5) == (Origin("neuron one"),)
    assert found.origins("h.0.mlp.c_proj.weight", 2, 5) == (Origin("neuron two"),)


def test_a_bias_after_neurons_that_there_are_not_has_a_unit_that_does_nothing():
    found = compiled(Block(neuron_bias=(bias(TOKEN, {"c": 10}),)))
    assert found.model.shape.n_inner == (1,)
    assert found.placement.tensors["h.0.mlp.c_fc.weight"].values == {}
    assert logits_of_c(found) == [10, 10, 10]


def test_a_block_without_neurons_has_no_mlp():
    found = compiled(Block(), Block(attention_bias=(bias(TOKEN, {"c": 10}),)))
    assert found.model.shape.n_inner == (0, 0)
    assert logits_of_c(found) == [10, 10, 10]


def test_a_head_becomes_a_slice_of_each_third_of_c_attn():
    def head(name: str, distance: int) -> Head:
        moved, origins = (copy(TOKEN, TOKEN),), (Origin(f"the {name} head"),)
        return Head(name, look_back(POSITION, distance), moved, moved, 64, origins)

    found = compiled(Block(heads=(head("first", 0), head("second", 1))))
    layout = found.layout
    assert (layout.n_head, layout.is_aligned) == (2, False)
    placed = found.placement.tensors["h.0.attn.c_attn.weight"]
    width, head_dim = layout.n_embd, layout.head_dim
    for row in range(3):  # W_Q shifts the position by the distance, times the sharpness; W_K keeps it
        assert placed.values[row, row] == 64
        assert placed.values[row, head_dim + max(0, row - 1)] == 64
        assert placed.values[row, width + row] == placed.values[row, width + head_dim + row] == 1
        assert placed.values[3 + row, 2 * width + row] == 1
        assert placed.values[3 + row, 2 * width + head_dim + row] == 1
    assert len(placed.values) == 18
    assert placed.describe((2, head_dim + 1)) == "position 2 -> query second: position 1"
    assert placed.origins[2, head_dim + 1] == (Origin("the second head"),)
    assert found.placement.tensors["h.0.attn.c_proj.weight"].describe((head_dim, 3)) == (
        "value second: token a -> token a"
    )


def test_numbers_that_meet_add_up_and_so_do_their_origins():
    one, two = Origin("one"), Origin("two")
    biases = (
        bias(TOKEN, {"c": 3}, origins=[one]),
        bias(TOKEN, {"c": 4}, origins=[two]),
        bias(TOKEN, {"c": 5}, origins=[one]),
    )
    found = compiled(Block(attention_bias=biases))
    assert found.placement.tensors["h.0.attn.c_proj.bias"].values == {(5,): 12}
    assert found.origins("h.0.attn.c_proj.bias", 5) == (one, two)


def test_a_number_that_is_0_is_not_placed():
    tensor = PlacedTensor("x", (2,), (("a", "b"),))
    tensor.add((0,), 0, [Origin("nothing")])
    assert tensor.values == tensor.origins == {}


@pytest.mark.parametrize("number", [3, Symbol("L", positive=True)])
def test_numbers_that_cancel_leave_neither_a_weight_nor_an_origin(number):
    cancelling = (bias(TOKEN, {"c": number}), bias(TOKEN, {"c": -number}))
    found = compiled(Block(attention_bias=cancelling), values={"L": 1024})
    assert found.origins("h.0.attn.c_proj.bias", 5) == ()
    assert found.placement.tensors["h.0.attn.c_proj.bias"].values == {}


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize(
    "read",
    [
        Coefficients.per_value(TOKEN, {"a": 0.9}),
        Coefficients.per_value(TOKEN, {"a": Symbol("L", positive=True)}),
        Coefficients(scalar("scratch"), ((0, 1),)),
    ],
    ids=["a fraction", "a symbol", "a scalar"],
)
def test_a_neuron_whose_sum_may_be_no_integer_is_refused(architecture, read):
    unsure = Neuron("unsure", (read,), 1, (Coefficients(TOKEN, ((2, 10),)),))
    made = Circuits(
        "abc",
        3,
        embedding=[embed_token(TOKEN)],
        scratch=[scalar("scratch")],
        blocks=[Block(neurons=(unsure,))],
        unembedding=TOKEN,
        values={"L": 1},
    )
    with pytest.raises(CircuitError, match="not known to be integers"):
        compile_program(made, architecture=architecture)


def test_a_neuron_that_reads_an_empty_membership_fires_by_its_threshold():
    always = Neuron("n", (Coefficients(TOKEN, ()),), 0, (Coefficients(TOKEN, ((2, 10),)),))
    assert logits_of_c(compiled(Block(neurons=(always,)))) == [10, 10, 10]


@pytest.mark.parametrize(("name", "largest"), [("ioi", 2**17), ("induction", 2**13)])
def test_no_score_is_moved_by_the_mean_that_layernorm_subtracts(name, largest):
    """A mean is rounded beside ballast, and a weight of 147,456 would show it."""
    found = gallery.compiled(name)
    assert found.plan.layout.has_ballast
    scalars = {
        found.plan.layout.start[each]
        for each in found.plan.circuits.stream
        if each.encoding is Encoding.SCALAR
    }
    weights = []
    for number in range(len(found.plan.layers)):
        matched = found.model.tensors[f"h.{number}.attn.c_attn.weight"][
            :, : 2 * found.plan.layout.n_embd
        ]
        columns = matched[:, ~matched[list(scalars)].any(axis=0)]
        assert not columns.sum(axis=0).any()
        weights.append(abs(columns).max())
    assert max(weights) >= largest
