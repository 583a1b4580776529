"""Features as circuits: in which block, by which head, with how many neurons."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from short_texts import assert_compiled

from handcraft import Prompts, lookup, select, where, window
from handcraft.circuits import Circuits
from handcraft.circuits.ideal import Stream, embed, ideal_stream
from handcraft.circuits.prefixes import Prefixes
from handcraft.compiler import compile_sequences
from handcraft.errors import CompileError, ModelError, ProgramError

PROMPTS = Prompts("abc", context=4)
TOKEN, POSITION = PROMPTS.token, PROMPTS.position
BEFORE = TOKEN.at(-1, default="a")
SAME = select(TOKEN, TOKEN)
FIRST = TOKEN.at_position(0)


def compiled(**outputs) -> Circuits:
    """The circuits of expressions that say what they mean, as they do in the weights."""
    return assert_compiled(outputs, reuse=False).circuits


def shape(circuits: Circuits) -> list[tuple[int, int]]:
    """For each block, how many heads and how many neurons."""
    return [(len(block.heads), len(block.neurons)) for block in circuits.blocks]


# blocks


def test_the_output_of_a_head_is_read_by_neurons_of_the_same_block():
    circuits = compiled(flag=lookup(lambda x, y: x == "a" and y == "b", FIRST, TOKEN))
    assert shape(circuits) == [(1, 1)]


def test_what_neurons_write_is_read_by_heads_of_the_next_block():
    flag = (TOKEN == "a") & (POSITION >= 1)
    assert shape(compiled(flag=flag.at_position(0))) == [(0, 1), (1, 0)]


def test_the_output_of_a_head_is_moved_on_by_the_next_block():
    twice = select(POSITION, POSITION // 2).latest(select(POSITION, POSITION // 2).latest(TOKEN))
    assert shape(compiled(twice=twice)) == [(1, 0), (1, 0)]


def test_everything_is_made_in_the_first_block_that_can_make_it():
    circuits = compiled(
        late=(BEFORE == TOKEN).at_position(0, default=False),
        early=POSITION.at_position(0),
        flag=(TOKEN == "c") & (POSITION == 2),
    )
    assert [len(block.heads) for block in circuits.blocks] == [2, 1]
    assert not circuits.blocks[1].neurons


def test_what_is_constant_or_embedded_needs_nothing():
    circuits = compiled(three=PROMPTS.constant(3), token=TOKEN, sum=POSITION + TOKEN.map(ord))
    assert shape(circuits) == [(0, 0)]
    assert circuits.unembedding is None


# heads


def test_numbers_from_the_same_sources_share_a_head():
    circuits = compiled(one=SAME.mean(POSITION), other=SAME.mean(TOKEN == "a"))
    ((head,),) = (block.heads for block in circuits.blocks)
    assert len(head.carried) == 2
    assert len(head.origins) == 2


def test_equal_distances_back_share_a_head_whatever_they_move():
    circuits = compiled(
        token=BEFORE, position=POSITION.at(-1, default=0), flag=(TOKEN == "c").at(-1, default=True)
    )
    assert [len(block.heads) for block in circuits.blocks] == [1]


def test_numbers_from_other_sources_have_another_head():
    assert shape(compiled(latest=SAME.latest(POSITION), earliest=SAME.earliest(POSITION))) == [(2, 0)]


def test_what_every_source_says_needs_no_head():
    past = select(POSITION, POSITION, "<=")
    cancels = past.mean(TOKEN == "a") - past.mean(where(TOKEN == "a", 1, 0))
    assert shape(compiled(none=cancels)) == [(0, 0)]


def test_the_only_source_is_picked_and_no_other():
    circuits = compiled(first=FIRST)
    ((head,),) = (block.heads for block in circuits.blocks)
    assert head.attends.picks_one


def test_a_query_between_two_positions_finds_neither():
    """It is as near to both, and a head that shared would bring what stands between them."""
    middle = window(2).mean(POSITION)
    assert middle.trace("ab")[1] == Fraction(1, 2)
    found = select(POSITION, middle)
    compiled(there=found.exists(), token=found.latest(TOKEN, default="b"))


def test_a_mean_picks_no_single_source():
    ((head,),) = (block.heads for block in compiled(mean=SAME.mean(POSITION)).blocks)
    assert not head.attends.picks_one


@pytest.mark.parametrize("causal", [True, False])
def test_circuits_have_the_mask_of_their_prompts(causal):
    prompts = Prompts("ab", context=3, causal=causal)
    made = assert_compiled({"count": select(prompts.token, prompts.token).count()})
    assert made.circuits.causal is made.model.architecture.causal is causal


# neurons


def test_flags_that_all_hold_are_one_neuron():
    assert shape(compiled(flag=(TOKEN == "a") & (POSITION >= 1) & (FIRST != "b"))) == [(1, 1)]


def sums(circuits: Circuits) -> np.ndarray:
    """What the only neuron of a block without heads adds up, less its threshold, on every text."""
    (neuron,) = circuits.blocks[0].neurons
    texts = Prefixes.of_texts(np.array(list(product(range(3), repeat=4))), causal=True)
    stream = Stream(embed(circuits, texts), texts)
    total = sum(
        stream[read.subspace][..., i] * number for read in neuron.reads for i, number in read.entries
    )
    return total - neuron.at_least


@pytest.mark.parametrize(
    "flag",
    [
        (TOKEN == "a") & (POSITION == 3),
        (TOKEN != "a") | (POSITION < 3),
        POSITION + TOKEN.map(ord) >= 98,
    ],
    ids=["seldom", "mostly", "either"],
)
def test_a_step_is_written_on_the_side_on_which_its_sums_stay_near(flag):
    total = sums(compiled(flag=flag))
    assert total.max() <= -total.min()


def test_an_inverted_threshold_is_added_by_a_bias_and_subtracted_where_it_is_not_reached():
    seldom, mostly = (TOKEN == "a") & (POSITION == 3), (TOKEN != "a") | (POSITION < 3)
    for flag in (seldom, mostly):
        circuits = compiled(flag=flag)
        (block,) = circuits.blocks
        (neuron,) = block.neurons
        ((_, written),) = neuron.writes[0].entries
        biased = [number for bias in block.neuron_bias for _, number in bias.adds.entries]
        assert (written, biased) in [(1, []), (-1, [1])]


def test_a_threshold_that_is_not_read_is_left_out():
    seen = SAME.count()
    all_steps = shape(compiled(count=seen))
    one_step = shape(compiled(often=seen >= 4))
    assert one_step[0][1] < all_steps[0][1]


def test_neurons_say_whom_they_serve():
    flag = (TOKEN == "a") & (POSITION >= 2)
    ((neuron,),) = (block.neurons for block in compiled(flag=flag).blocks)
    (origin,) = neuron.origins
    assert origin.what == str(flag)
    assert origin.place.file.endswith("test_assembled_circuits.py")


# outputs


def test_every_output_is_read_from_the_same_residual_stream():
    made = assert_compiled(
        {"token": TOKEN, "before": BEFORE, "count": SAME.count(), "share": SAME.mean(POSITION)}
    )
    ids = np.array([PROMPTS.vocabulary.ids("abca")])
    assert set(ideal_stream(made.circuits, ids)) == set(made.circuits.stream)
    assert list(made.apply(["abca"])) == ["token", "before", "count", "share"]


def test_texts_of_several_lengths_are_answered_in_their_order():
    made = compile_sequences({"count": SAME.count(), "before": BEFORE})
    texts = ["abca", "a", "bb", "cab", "c"]
    assert made.apply(texts)["count"] == [SAME.count().trace(text) for text in texts]
    assert made.apply([]) == {"count": [], "before": []}


def test_flags_numbers_and_labels_come_back_as_such():
    made = compile_sequences(
        {"flag": TOKEN == "a", "number": (TOKEN == "a") + 0, "share": SAME.mean(POSITION)}
    )
    said = made.apply(["ab"])
    assert said["flag"] == [(True, False)]
    assert [type(value) for value in said["number"][0]] == [int, int]


@pytest.mark.parametrize("text", ["", "abcab"])
def test_texts_of_no_token_or_too_many_are_refused(text):
    with pytest.raises(ModelError, match="for a context of 4"):
        compile_sequences({"token": TOKEN}).apply(["a", text])


def test_nothing_to_compile_is_refused():
    with pytest.raises(CompileError, match="nothing to compile"):
        compile_sequences({})


@pytest.mark.parametrize(
    ("outputs", "what"),
    [
        (TOKEN, "is not a dictionary of named expressions"),
        ({"same": SAME}, "'same' is .*select.*, and that is not an expression"),
        ({"three": 3}, "'three' is 3, and that is not an expression"),
    ],
    ids=["no table", "selection", "number"],
)
def test_what_is_no_named_expression_is_refused(outputs, what):
    with pytest.raises(CompileError, match=what):
        compile_sequences(outputs)


def test_a_text_alone_is_no_list_of_texts():
    with pytest.raises(ModelError, match="'ab' is one text") as caught:
        compile_sequences({"token": TOKEN}).apply("ab")
    assert caught.value.fix == "apply(['ab'])"


def test_expressions_of_other_prompts_are_refused():
    with pytest.raises(ProgramError, match="belongs to other prompts"):
        compile_sequences({"one": TOKEN, "other": Prompts("abc", context=4).token})


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both ways"])
def test_a_crowd_of_expressions_fits_one_model(architecture, causal):
    prompts = Prompts("abc", context=4, causal=causal)
    t, i = prompts.token, prompts.position
    before = t.at(-1, default="b")
    counted = {"count": select(t, t).count(), "share": select(t, before).mean(i, default=-1)}
    assert_compiled(
        {
            "before": before,
            "induction": select(before, t).latest(t, default="c"),
            "balance": window(3).mean(t == "a") >= window(3).mean(t == "b"),
            "last": t.at(-2, default="a").at(-1, default="c"),
            "odd": (i % 2 == 1) & (before == "a"),
            "any": (select(t, "a") & select(i, i, "<")).exists(),
            **(counted if architecture == "block" else {}),
        },
        architecture,
    )


def test_the_same_expressions_give_the_same_bits():
    outputs = {"count": SAME.count(), "flag": (BEFORE == TOKEN) & (POSITION > 1)}
    assert compile_sequences(outputs).model == compile_sequences(outputs).model
