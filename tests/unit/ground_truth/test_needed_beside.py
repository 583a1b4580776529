"""Edges that are needed beside others: no single one can be left out, whatever is kept and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handcraft.ground_truth.circuit.needed_beside import needed_beside


def test_an_edge_that_fits_beside_a_later_one_is_not_needed():
    """Patching `a` alone changes an answer; patching `a` and `b` changes none."""
    kept = [set(), {"b"}, {"a", "b"}]
    needed, outside = needed_beside("ab", [], lambda edges: set(edges) in kept)
    assert (needed, outside) == ([], ["b", "a"])


def test_of_two_edges_that_say_the_same_one_is_needed():
    needed, outside = needed_beside("ab", ["x"], lambda edges: {"a", "b"} - set(edges) != set())
    assert (needed, outside) == (["b"], ["x", "a"])


@given(st.integers(1, 5), st.randoms(use_true_random=False))
def test_no_needed_edge_can_be_left_out_of_any_model(count, random):
    """What is kept is drawn for each set of edges, so that nothing follows from smaller sets."""
    drawn = {frozenset(): True}

    def is_kept(edges):
        return drawn.setdefault(frozenset(edges), random.random() < 0.5)

    needed, outside = needed_beside(range(count), [], is_kept)
    assert sorted([*needed, *outside]) == list(range(count))
    assert is_kept(outside)
    assert not any(is_kept([*outside, edge]) for edge in needed)
