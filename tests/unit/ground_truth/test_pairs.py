"""Pairs of prompts: of one length, allowed, and different in as little as the prompts permit."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from gallery import compiled

from handcraft.ground_truth import of_compiled
from handcraft.ground_truth.circuit.pairs import pair_rounds

NAMES = ["add", "dyck1", "flipflop", "grammar", "histogram", "induction", "ioi", "parity", "sort"]


@pytest.mark.parametrize("name", NAMES)
def test_both_prompts_of_a_pair_are_allowed_and_mean_what_is_said(name):
    subject = of_compiled(compiled(name), name)
    program, tokens = subject.source, subject.model.vocabulary.tokens
    for drawn in islice(pair_rounds(subject, 6, seed=0), 2):
        assert not drawn.is_all
        for pairs in drawn.by_length:
            assert (pairs.clean != pairs.corrupted).any(axis=1).all()
            for i, place in np.argwhere(pairs.meant >= 0)[:40].tolist():
                for texts, meant in ((pairs.clean, pairs.meant), (pairs.corrupted, pairs.instead)):
                    prompt = [tokens[each] for each in texts[i, : place + 1].tolist()]
                    assert program.prompts.allows(prompt), prompt
                    assert program.meaning(prompt) == tokens[meant[i, place]], prompt


def test_all_pairs_of_a_small_program_differ_in_one_token():
    (only,) = pair_rounds(of_compiled(compiled("aab")), 256, seed=0)
    assert only.is_all
    found = {
        (tuple(one), tuple(other))
        for pairs in only.by_length
        for one, other in zip(pairs.clean.tolist(), pairs.corrupted.tolist(), strict=True)
    }
    assert len(found) == sum(2**n * n for n in range(1, 6)) == sum(map(len, only.by_length))
    assert all(sum(a != b for a, b in zip(*pair, strict=True)) == 1 for pair in found)


def test_what_follows_from_a_changed_input_is_written_anew():
    """An adder writes its sum: with another digit it writes another one."""
    subject = of_compiled(compiled("add"), "add")
    drawn = next(iter(pair_rounds(subject, 16, seed=0)))
    (pairs,) = drawn.by_length
    assert ((pairs.clean != pairs.corrupted).sum(axis=1) == 2).any()


def test_another_seed_draws_other_pairs():
    subject = of_compiled(compiled("induction"))
    one, again, other = (next(iter(pair_rounds(subject, 16, seed=s))) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.by_length[0].clean, again.by_length[0].clean)
    assert not np.array_equal(one.by_length[0].clean, other.by_length[0].clean)
