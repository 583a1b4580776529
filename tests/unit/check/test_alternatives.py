"""Alternatives that a reader does not tell apart are one case, and each alternative is in one."""

from __future__ import annotations

import numpy as np
import pytest
from checked_programs import adder_ahead
from float32_steps import boxes
from hypothesis import given
from hypothesis import strategies as st

from handcraft import compile_program
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.by_cases.alternatives import Blamed, kinds_of_rows
from handcraft_check.by_cases.policy import Policy
from handcraft_check.by_cases.proof import Proof
from handcraft_check.by_cases.states import WIDER, hull
from handcraft_check.claim import read_claim
from handcraft_check.program.undecided import told_apart

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)

DIGITS = 4


@pytest.fixture(scope="module")
def claim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ahead") / "model"
    compile_program(adder_ahead()).save(folder)
    return read_claim(folder)


def proof_of(claim):
    return Proof(claim.model, claim.token_ids, claim.domain, claim.meaning, Policy())


def test_a_head_that_looks_ahead_is_proved_in_few_cases(claim):
    """A carry that passes three digits: as many kinds of pairs as matter to it, not all of them."""
    proof = proof_of(claim)
    found = proof.run()
    assert found.margin > 20
    assert claim.domain.count() == 729
    assert found.cases < 300
    second = set(range(DIGITS + 2, 2 * DIGITS + 1))
    assert proof.policy.eager == dict.fromkeys(second, 1)


def test_the_kinds_of_an_entry_have_each_of_its_alternatives_once(claim):
    proof = proof_of(claim)
    proof.run()
    entries, several = proof.entries, 0
    for (entry, _, _), kinds in list(entries._kinds.items()):
        parts = [part for kind in kinds for part in (entries.parts[kind] or (kind,))]
        assert sorted(parts) == sorted(entries.parts[entry] or (entry,))
        several += 1 < len(kinds) < len(parts)
    assert several > 3


def test_nobody_tells_apart_what_leads_to_the_same(claim):
    """Who reads whether a number is at least 3 has two kinds of the sums of two digits."""
    evaluator = proof_of(claim).evaluator
    numbers = [i for i, node in enumerate(evaluator.nodes) if node.how in ("latest", "earliest")]
    told = {}
    for reader in numbers:
        read = evaluator.nodes[reader].read
        sums = [evaluator.sets[read].number((value,)) for value in range(5)]
        told[evaluator.nodes[reader].how, read] = len(
            {told_apart(evaluator, reader, read, number) for number in sums}
        )
    assert sorted(told.values()) == [2, 5, 5]


@given(seeds, st.integers(1, 30), st.integers(1, 3))
def test_rows_of_one_kind_are_hardly_less_certain_together(rng, count, width):
    some = boxes(rng, 3, width, most=3, wide=False)
    which = rng.integers(0, 3, size=count)
    center, error = some.center[which], some.error[which]
    rows = Bounded(center + rng.uniform(-2, 2, size=center.shape) * error, error)
    kinds = kinds_of_rows(rows)
    assert sorted(set(kinds.tolist())) == list(range(kinds.max() + 1))
    for kind in range(kinds.max() + 1):
        members = rows[np.flatnonzero(kinds == kind)]
        assert (hull(members).error <= WIDER * members.error.max(axis=0)).all()


def test_who_is_blamed_first_stays_so():
    blamed = Blamed.nobody(3)
    spreads = np.array([[0.0, 2.0], [0.5, 0.1], [0.0, 0.0]])
    heads = [(spreads * 0.25, np.arange(3)), (spreads * 0.75, np.arange(3))]
    blamed.note(1, spreads, 0.2, heads)
    blamed.note(2, spreads + 9, 0.2, heads[::-1])
    assert [column.tolist() for column in blamed.columns] == [[1, 0, 0], [1, 1, 2], [1, 1, 0]]
    other = Blamed.by_nodes(np.array([0, -1, 3]), np.array([7, -1, 8]))
    both = other.or_else(blamed)
    assert [column.tolist() for column in both.columns] == [[0, 0, 3], [-1, 1, -1], [7, 1, 8]]
    none = both.where(np.array([True, False, False]))
    assert [column.tolist() for column in none.columns] == [[0, -1, -1], [-1, -1, -1], [7, -1, -1]]
