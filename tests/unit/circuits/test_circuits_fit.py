"""Circuits: the pieces must fit, and all that does not is told together."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Head,
    Neuron,
    bias,
    coded,
    copy,
    embed_position,
    embed_token,
    ideal_logits,
    look_back,
    one_hot,
    project,
    scalar,
    signed_bits,
    value_map,
)
from handcraft.compiler import compile_program
from handcraft.errors import (
    CircuitError,
    CompileError,
    EncodingError,
    HandcraftError,
    SeveralErrors,
    VocabularyError,
)
from handcraft.origin import Place

TOKEN = one_hot("token", "ab")
POSITION = one_hot("position", range(3))
SCRATCH = scalar("scratch")
LOST = one_hot("lost", "xy")


def circuits(*blocks: Block, **changes) -> Circuits:
    facts = {
        "vocabulary": "ab",
        "context": 3,
        "embedding": [embed_position(POSITION), embed_token(TOKEN)],
        "unembedding": TOKEN,
        "place": Place("here.py", 7, 1),
        **changes,
    }
    return Circuits(facts.pop("vocabulary"), facts.pop("context"), blocks=blocks, **facts)


def head(moves, writes) -> Head:
    return Head("reader", look_back(POSITION, 1), tuple(moves), tuple(writes))


def test_the_stream_has_embedded_then_scratch_then_written_subspaces():
    written = one_hot("written", "ab")
    late = one_hot("late", "ab")
    block = Block(
        heads=(head([copy(TOKEN, written)], [copy(written, written)]),),
        neurons=(Neuron("n", (), 0, (Coefficients(late, ((0, 1),)),)),),
    )
    assert circuits(block, scratch=[SCRATCH]).stream == (POSITION, TOKEN, SCRATCH, written, late)


def test_circuits_know_where_they_were_made():
    made = circuits(place=None)
    assert made.place.file == __file__


def test_a_position_table_can_store_any_value_at_each_position():
    table = embed_position(TOKEN, ["b", "a", "b"])
    assert table.rows == (((1, 1),), ((0, 1),), ((1, 1),))
    with pytest.raises(EncodingError, match="cannot encode 'x'"):
        embed_position(TOKEN, ["x"])


@pytest.mark.parametrize("context", [0, -1, "3", 2.5])
def test_a_context_that_is_no_positive_integer_is_refused(context):
    with pytest.raises(HandcraftError, match="the context is"):
        circuits(context=context, embedding=[embed_token(TOKEN)])


def test_a_table_has_a_row_for_each_token_and_position():
    with pytest.raises(CircuitError, match="the table of `position` has 3 rows for 4 positions"):
        circuits(context=4)
    tokens = one_hot("token", "abc")
    tables = [embed_token(tokens), embed_token(LOST)]
    with pytest.raises(CircuitError, match="the table of `lost` has 2 rows for 3 tokens"):
        circuits(vocabulary="abc", embedding=tables, unembedding=tokens)


def test_the_values_of_the_unembedding_are_the_tokens():
    with pytest.raises(
        EncodingError, match="the unembedding reads `lost`, one-hot, with the values x y"
    ):
        circuits(unembedding=LOST, scratch=[LOST])


def test_an_unembedding_without_the_token_is_refused():
    with pytest.raises(
        CircuitError, match="the unembedding reads `token`, into which the token is not"
    ):
        circuits(embedding=[embed_position(POSITION)])


@pytest.mark.parametrize(
    "block",
    [
        Block(heads=(head([value_map(LOST, {"x": 1}, into=SCRATCH)], []),)),
        Block(heads=(Head("reader", look_back(LOST, 1), (), ()),)),
        Block(neurons=(Neuron("reader", (Coefficients(LOST, ((0, 1),)),), 1, ()),)),
    ],
    ids=["what a head moves", "where a head looks", "what a neuron reads"],
)
def test_what_reads_outside_the_stream_is_named(block):
    with pytest.raises(HandcraftError) as caught:
        circuits(block)
    assert "`reader` of block 0 reads `lost`, which is not in the residual stream" in str(caught.value)


def test_a_head_writes_only_from_what_it_carries():
    wrong = head(
        [value_map(TOKEN, {"a": 1}, into=SCRATCH)], [project(scalar("x"), into=TOKEN, numbers={"a": 1})]
    )
    with pytest.raises(
        CircuitError, match="`reader` of block 1 writes from `x`, into which it moves nothing"
    ):
        circuits(Block(), Block(heads=(wrong,)))


def test_two_subspaces_of_one_name_are_refused():
    with pytest.raises(CircuitError, match="two subspaces are called `scratch`"):
        circuits(scratch=[SCRATCH, one_hot("scratch", "ab")])


def test_all_problems_are_reported_together_each_with_its_place():
    wrong = head([value_map(LOST, {"x": 1}, into=SCRATCH)], [copy(LOST, LOST)])
    with pytest.raises(SeveralErrors) as caught:
        circuits(
            Block(heads=(wrong,)),
            context=4,
            unembedding=LOST,
            scratch=[one_hot("position", "ab")],
        )
    problems = [problem.what for problem in caught.value.problems]
    assert len(problems) == 4
    for part in ("3 rows for 4", "the unembedding reads", "two subspaces", "moves nothing"):
        assert sum(part in problem for problem in problems) == 1
    assert {problem.where for problem in caught.value.problems} == {"here.py:7:1"}
    assert all(problem.fix for problem in caught.value.problems)


def test_a_vocabulary_that_cannot_be_is_refused():
    with pytest.raises(VocabularyError):
        circuits(vocabulary="aa")


def test_a_value_that_is_no_number_is_refused():
    with pytest.raises(CircuitError, match="not an exact number"):
        circuits(values={"L": "large"})


def test_an_unembedding_that_has_no_codeword_for_each_token_is_refused():
    for held in (scalar("token"), one_hot("token", "abc"), signed_bits("token", "dcba")):
        with pytest.raises(HandcraftError):
            circuits(vocabulary="abcd", embedding=[embed_token(held)], unembedding=held)


def test_logits_are_what_the_stream_has_in_common_with_codewords():
    held = coded("token", {"a": (1, 2), "b": (0, -3)}, dimensions=("x", "y"))
    tied = circuits(vocabulary="ab", embedding=[embed_token(held)], unembedding=held)
    assert ideal_logits(tied, [[0, 1]]).tolist() == [[[5, -6], [-6, 9]]]


def test_codewords_of_another_length_are_refused():
    with pytest.raises(CircuitError, match="2 values and 2 dimensions"):
        coded("token", {"a": (1, 2), "b": (0,)}, dimensions=("x", "y"))


OUT = one_hot("out", "ab")
FIRES = Neuron("fires", (Coefficients.per_value(TOKEN, {"a": 1}),), 1, (Coefficients(OUT, ((1, 5),)),))


@pytest.mark.parametrize(
    ("embedding", "unembedding", "says"),
    [
        ([embed_token(TOKEN)], OUT, "into which the token is not embedded exactly once"),
        ([embed_token(TOKEN), embed_token(OUT)], TOKEN, "the token is also embedded in `out`"),
        ([embed_token(TOKEN)] * 2, TOKEN, "into which the token is not embedded exactly once"),
    ],
    ids=["no token is embedded in it", "another holds the token too", "the token is embedded twice"],
)
def test_an_unembedding_that_a_tied_head_cannot_read_is_refused(embedding, unembedding, says):
    """The logits of a tied head are the stream times the token embedding, whatever else is in it."""
    with pytest.raises((CircuitError, CompileError), match=says):
        compile_program(shadowed(embedding, unembedding), architecture="block")


def test_what_a_tied_head_cannot_read_is_right_in_gpt2():
    made = shadowed([embed_token(TOKEN), embed_token(OUT)], TOKEN)
    compiled = compile_program(made, architecture="gpt2")
    answers = compiled.model.forward([[0, 1, 0]]).argmax(-1)
    assert answers.tolist() == np.argmax(ideal_logits(made, [[0, 1, 0]]), axis=-1).tolist()


def shadowed(embedding, unembedding):
    """A program whose one neuron writes to `out`."""
    block = Block(neurons=(FIRES,), neuron_bias=(bias(OUT, {"a": 1}),))
    return circuits(block, embedding=embedding, unembedding=unembedding)
