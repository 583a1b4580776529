"""What a program may mean after a set of texts contains what it means after each of them."""

from __future__ import annotations

import os
from itertools import product

import numpy as np
import pytest
from assuming_programs import assuming_programs
from checked_programs import meaning_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handcraft.testing import rule_programs, sequence_programs
from handcraft_check.program.evaluate import Evaluator
from handcraft_check.program.interpret import Interpreter
from handcraft_check.program.meaning import Meaning
from handcraft_check.program.sets import UNKNOWN, is_one

EXAMPLES = int(os.environ.get("HANDCRAFT_EXAMPLES", "12"))
slow = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)

TEXTS = 64
"""No set has more texts."""


def alternatives(rng, size, length, is_single):
    """The tokens that may be at each position."""
    found, count = [], 1
    for _ in range(length):
        most = 1 if is_single else min(size, TEXTS // count)
        found.append(rng.permutation(size)[: rng.integers(1, most + 1)])
        count *= len(found[-1])
    return found


def evaluated(evaluator, alternatives):
    """At each position, of all nodes for each token there, the sets and their numbers."""
    crossing, found = evaluator.crossing, []
    entries = {node: np.empty((1, 0), dtype=np.int64) for node in crossing}
    for position, tokens in enumerate(alternatives):
        sources = {node: np.repeat(each, len(tokens), axis=0) for node, each in entries.items()}
        several = np.array([len(each) > 1 for each in alternatives[:position]], dtype=bool)
        is_open = np.tile(several, (len(tokens), 1))
        meant = evaluator.evaluate(tokens, position, sources, is_open).numbers
        sets = {n: [evaluator.sets[n].listed[i] for i in numbers] for n, numbers in meant.items()}
        found.append((sets, meant))
        for node in crossing:
            number = evaluator.sets[node].number(v for values in sets[node] for v in values)
            entries[node] = np.column_stack([entries[node], [number]])
    return found


def assert_contained(meaning, rng, *, is_single):
    roots = [part for rule in meaning.rules for part in (rule.flag, rule.token) if part is not None]
    evaluator = Evaluator(meaning.nodes, roots, meaning.vocabulary)
    interpreter = Interpreter(meaning.nodes, roots, meaning.vocabulary, causal=True)
    chosen = alternatives(rng, len(meaning.vocabulary), int(rng.integers(1, 7)), is_single)
    sets, coded = zip(*evaluated(evaluator, chosen), strict=True)
    texts = np.array(list(product(*chosen)))
    ends, broken = interpreter.compute(texts)
    for row, text in enumerate(texts):
        which = [int(np.flatnonzero(tokens == t)[0]) for tokens, t in zip(chosen, text, strict=True)]
        if broken[row]:
            assert any(
                evaluator.broken(n, np.array([numbers[n][i]]), np.array([position == len(text) - 1]))[0]
                for position, (numbers, i) in enumerate(zip(coded, which, strict=True))
                for n in evaluator.checked
            )
            continue
        for root in roots:
            column, values = ends[root], sets[-1][root][which[-1]]
            value = column.values[np.broadcast_to(column.codes[:, 0], len(texts))[row]]
            assert value in values or UNKNOWN in values
            assert not is_single or is_one(values)


@pytest.mark.parametrize("is_single", [False, True])
@slow
@given(rule_programs(max_tokens=4, max_context=6, max_rules=8), seeds)
def test_of_rules_with_patterns(is_single, program, rng):
    assert_contained(meaning_of(program), rng, is_single=is_single)


@pytest.mark.parametrize("is_single", [False, True])
@slow
@given(sequence_programs(depth=3), seeds)
def test_of_rules_over_expressions(is_single, program, rng):
    assert_contained(meaning_of(program), rng, is_single=is_single)


@pytest.mark.parametrize("is_single", [False, True])
@slow
@given(assuming_programs(), seeds)
def test_of_texts_that_break_an_assumption(is_single, program, rng):
    assert_contained(meaning_of(program), rng, is_single=is_single)


HERE = [{"op": "token"}, {"op": "position"}, {"op": "constant", "value": "a"}]
NUMBERS = [*HERE, {"op": "table", "of": [0], "rows": [["a", 1], ["b", 2]], "else": 4}]  # node 3


def graphs():
    """Nodes of every kind over tokens and numbers, drawn one after the other."""
    relations = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    hows = st.sampled_from(["latest", "earliest", "mean", "count", "exists"])
    ops = st.sampled_from(["sum", "aggregate", "aggregate", "table", "choice"])
    return st.lists(
        st.tuples(ops, relations, hows, st.lists(st.integers(0, 10**6), min_size=8, max_size=8))
    )


def built(drawn):
    """A meaning with these nodes: it predicts a or b by the last one."""
    nodes, numbers, flags = list(NUMBERS), [1, 3], []
    for op, relation, how, picks in drawn:
        number = [numbers[pick % len(numbers)] for pick in picks]
        if op == "sum":
            of = number[: picks[0] % 4]
            nodes.append(
                {"op": op, "of": of, "factors": [p % 5 - 2 for p in picks[: len(of)]], "constant": 1}
            )
        elif op == "table":
            rows = [[i, i * picks[1] % 7] for i in range(4)]
            rest = {"else": picks[2] % 3} if picks[3] % 4 else {}
            nodes.append({"op": op, "of": number[:1], "rows": rows, **rest})
        elif op == "choice" and flags:
            flag = flags[picks[2] % len(flags)]
            nodes.append({"op": op, "if": flag, "then": number[0], "else": number[1]})
        else:
            match = {"key": number[0], "query": number[1], "relation": relation}
            same = {"key": 0, "query": picks[7] % 2 * 2, "relation": "=="}
            cases = [[], [[]], [[match]], [[match, same]], [[match], [same]]][picks[6] % 5]
            value, default = (
                (None, None)
                if how in ("count", "exists")
                else (number[2], [0, 1, 2, None][picks[3] % 4])
            )
            nodes.append(
                {"op": "aggregate", "how": how, "cases": cases, "value": value, "default": default}
            )
            if how == "exists":
                flags.append(len(nodes) - 1)
                continue
        numbers.append(len(nodes) - 1)
    answers = len(nodes)
    nodes += [{"op": "at_least", "of": numbers[-1], "bound": 2}, {"op": "constant", "value": "b"}]
    rules = [{"if": answers, "token": 2}, {"if": None, "token": answers + 1}]
    return Meaning.read({"nodes": nodes, "answer": {"rules": rules}}, "abc")


@pytest.mark.parametrize("is_single", [False, True])
@given(graphs(), seeds)
def test_of_any_graph(is_single, drawn, rng):
    assert_contained(built(drawn), rng, is_single=is_single)
