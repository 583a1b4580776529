"""When subspaces are written and read, and which may take the place of another."""

from __future__ import annotations

import pytest

from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Head,
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
