"""When subspaces are written and read, and which may take the place of another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    Neuron,
    Ramp,
    Reuse,
    bias,
    copy,
    embed_position,
    embed_token,
    flag,
    look_back,
    one_hot,
    scalar,
)
from handcraft.circuits.lifetimes import NEVER, Lifetime, lifetimes
from handcraft.errors import CircuitError

TOKEN = one_hot("token", "ab")
POSITION = one_hot("position", range(3))
BEFORE = one_hot("before", "ab")
ISB = scalar("is b")
BOTH = scalar("both b")
LATE = scalar("late")
RAISED = flag("raised")


def fires(reads, writes) -> Neuron:
    parts = tuple(Coefficients(s, ((s.width - 1, 1),)) for s in reads)
    return Neuron("fires", parts, len(parts), (Coefficients(writes, ((writes.width - 1, 1),)),))


def clears(subspace, i=0) -> Ramp:
    one = Coefficients(subspace, ((i, 1),))
    return Ramp("clears", (one,), 0, (), 1, 1, (Coefficients(subspace, ((i, -1),)),))


LOOKS = Head("looks", look_back(POSITION, 1), (copy(TOKEN, BEFORE),), (copy(BEFORE, BEFORE),))
FIRST = Block(heads=(LOOKS,), neurons=(fires([BEFORE], ISB),))
SECOND = Block(neurons=(fires([ISB, TOKEN], BOTH),))


def circuits(*blocks: Block, **changes) -> Circuits:
    embedding = [embed_position(POSITION), embed_token(TOKEN)]
    facts = {"embedding": embedding, "unembedding": None, "results": [BOTH], **changes}
    return Circuits("ab", 3, blocks=blocks, **facts)


def test_a_lifetime_goes_from_the_first_write_to_the_last_read():
    lives = lifetimes(circuits(FIRST, SECOND))
    assert lives == {
        POSITION: Lifetime(born=0, settled=0, read=0),
        TOKEN: Lifetime(born=0, settled=0, read=3),
        BEFORE: Lifetime(born=1, settled=1, read=1),
        ISB: Lifetime(born=2, settled=2, read=3),
        BOTH: Lifetime(born=4, settled=4, read=4),
    }


def test_without_results_all_that_no_block_reads_is_a_result():
    lives = lifetimes(circuits(FIRST, SECOND, results=None))
    assert [s for s, life in lives.items() if life.read == 4] == [BOTH]
    unread = lifetimes(circuits(FIRST, SECOND, results=[ISB]))
    assert (unread[ISB].read, unread[BOTH].read) == (4, NEVER)


def test_logits_are_the_result_if_there_is_an_unembedding():
    made = Circuits("ab", 3, embedding=[embed_token(TOKEN)], blocks=[Block()], unembedding=TOKEN)
    assert lifetimes(made)[TOKEN].read == 2


def test_a_bias_gives_birth_too():
    made = circuits(Block(neuron_bias=(bias(BEFORE, {"a": 1}),)), results=None)
    assert lifetimes(made)[BEFORE] == Lifetime(born=2, settled=2, read=2)


CLEARED = Block(neurons=(*SECOND.neurons, clears(BEFORE)))


def test_cleared_dimensions_are_reused():
    made = circuits(FIRST, CLEARED, reuses=[Reuse(BOTH, BEFORE)])
    assert made.reuses == (Reuse(BOTH, BEFORE, 0),)


LATER = Block(neurons=(fires([BOTH], LATE),))
OWN = Block(neurons=(fires([BEFORE], RAISED),))


@pytest.mark.parametrize(
    ("blocks", "reuses", "says"),
    [
        ((FIRST, CLEARED), [Reuse(BOTH, LATE)], "of which the new one is not embedded"),
        ((FIRST, CLEARED), [Reuse(TOKEN, POSITION)], "of which the new one is not embedded"),
        ((FIRST, SECOND, OWN), [Reuse(RAISED, ISB)], "a flag dimensions of its own"),
        ((FIRST, CLEARED), [Reuse(BOTH, BEFORE, 2)], "take 1 of its 2 dimensions"),
        ((FIRST, CLEARED), [Reuse(BOTH, BEFORE, -1)], "take 1 of its 2 dimensions"),
        ((FIRST, CLEARED), [Reuse(BOTH, TOKEN)], None),
        ((FIRST, CLEARED), [Reuse(ISB, TOKEN)], "after `token` was read for the last time"),
        (
            (FIRST, CLEARED, LATER),
            [Reuse(LATE, BOTH), Reuse(BOTH, BEFORE)],
            "whose dimensions `both b` takes",
        ),
        ((FIRST, CLEARED, LATER), [Reuse(BOTH, BEFORE), Reuse(LATE, BEFORE)], "each dimension to one"),
        ((FIRST, CLEARED, LATER), [Reuse(BOTH, BEFORE), Reuse(LATE, BEFORE, 1)], None),
        ((FIRST, CLEARED, LATER), [Reuse(BOTH, BEFORE), Reuse(LATE, BOTH)], None),
    ],
)
def test_a_place_that_is_not_there_or_not_free_is_refused(blocks, reuses, says):
    if says is None:
        assert circuits(*blocks, results=(), reuses=reuses).reuses == tuple(reuses)
        return
    with pytest.raises(CircuitError, match="cannot take the place of") as caught:
        circuits(*blocks, results=(), reuses=reuses)
    assert says in caught.value.fix


def test_what_is_cleared_after_something_new_is_there_is_refused():
    late = Block(neurons=(clears(BEFORE),))
    with pytest.raises(CircuitError, match="cannot take the place of"):
        circuits(FIRST, SECOND, late, reuses=[Reuse(BOTH, BEFORE)])


BLOCKS = st.integers(0, 2)


@given(cleared=BLOCKS, written=BLOCKS, read=BLOCKS, in_heads=st.tuples(st.booleans(), st.booleans()))
def test_a_place_is_free_once_it_was_cleared_and_read_for_the_last_time(
    cleared, written, read, in_heads
):
    reads_in_head, writes_in_head = in_heads
    heads, neurons = [[], [], []], [[], [], []]
    neurons[cleared].append(clears(BEFORE))
    if reads_in_head:
        heads[read].append(Head("reads", look_back(POSITION, 1), (copy(BEFORE, BEFORE),), ()))
    else:
        neurons[read].append(fires([BEFORE], LATE))
    if writes_in_head:
        carried = scalar("carried")
        moved, brought = LinearMap(TOKEN, carried, ((1, 0, 1),)), LinearMap(carried, BOTH, ((0, 0, 1),))
        heads[written].append(Head("writes", look_back(POSITION, 1), (moved,), (brought,)))
    else:
        neurons[written].append(fires([TOKEN], BOTH))
    blocks = [Block(heads=tuple(h), neurons=tuple(n)) for h, n in zip(heads, neurons, strict=True)]
    embedding = [embed_position(POSITION), embed_token(TOKEN), embed_token(BEFORE)]
    is_free = True
    try:
        circuits(*blocks, embedding=embedding, reuses=[Reuse(BOTH, BEFORE)])
    except CircuitError:
        is_free = False
    last_read = max(2 * read + (not reads_in_head), 2 * cleared + 1)
    first_write = 2 * written + 2 - writes_in_head
    assert is_free == (last_read < first_write and 2 * cleared + 2 <= first_write)
