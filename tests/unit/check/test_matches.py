"""Heads that match by content are proved at all positions at once, and only where they are right."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import product

import float32_steps as steps
import numpy as np
import pytest
from float32_steps import F
from hypothesis import given, settings
from hypothesis import strategies as st
from matching_programs import compiled_to, forward, induction, matching
from sweeps import sweep

from handcraft.formats.save_planted import save_planted
from handcraft.proofs.plant import plant
from handcraft_check.arithmetic.rounding import CERTAIN
from handcraft_check.attempts import attempted
from handcraft_check.by_cases.found import BudgetError
from handcraft_check.by_matches import match_proof
from handcraft_check.by_matches.conditions import Condition, branches
from handcraft_check.by_matches.readings import choices
from handcraft_check.by_matches.winners import needed_gap
from handcraft_check.by_windows.window_proof import prove_windows
from handcraft_check.by_windows.windows import TokenSets, UnfitError
from handcraft_check.claim import read_claim
from handcraft_check.layers.model import Model
from handcraft_check.program.nodes import Match

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def proved(claim, model=None, meaning=None, budget=1 << 14):
    """What is found for a claim, or for another model or meaning."""
    given = model or claim.model, claim.token_ids, claim.domain, meaning or claim.meaning
    return prove_windows(*given, budget=budget)


def texts(claim, rng, most):
    """Some texts of each length, as places."""
    count = len(claim.token_ids)
    for length in range(1, claim.domain.length + 1):
        for text in rng.integers(count, size=(most, length)):
            few = rng.permutation(count)[: rng.integers(1, count + 1)]
            yield few[text % len(few)]


def lead(claim, text, logits):
    """By how much the right logit is above all others."""
    answer = claim.token_ids[claim.meaning.answers(text[None]).token[0]]
    return logits[answer] - np.delete(logits, answer).max()


@given(program=matching(), rng=seeds)
@settings(max_examples=sweep(40), deadline=None)
@pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")
def test_no_text_has_a_smaller_margin_in_float32(program, rng, tmp_path_factory):
    claim, tensors = compiled_to(program, tmp_path_factory.mktemp("model"))
    if rng.random() < 0.5:
        by = 2.0 ** -rng.integers(8, 20)
        noise = {name: 1 + by * rng.uniform(-1, 1, size=each.shape) for name, each in tensors.items()}
        tensors = {name: (each * noise[name]).astype(F) for name, each in tensors.items()}
    model = Model(claim.model.config, tensors)
    try:
        found = proved(claim, model)
    except (UnfitError, BudgetError):
        return
    for text in texts(claim, rng, 3):
        *_, logits = forward(rng, claim.model.config, tensors, claim.token_ids[text])
        assert lead(claim, text, logits) >= found.margin - 1e-9 * np.abs(logits).max()


@pytest.mark.parametrize("how", ["latest", "earliest"])
@pytest.mark.parametrize(("back", "first"), [(1, 0), (1, 1), (2, 0)])
def test_inductions_are_proved(how, back, first, tmp_path):
    claim, _ = compiled_to(induction(how=how, back=back, first=first), tmp_path)
    assert proved(claim).margin > 50


def test_long_texts_take_no_more_cases_than_short_ones(tmp_path):
    found = [
        proved(compiled_to(induction("abcdefghi", length), tmp_path / str(length))[0])
        for length in (16, 256)
    ]
    assert found[0].cases == found[1].cases < 1000


@pytest.mark.parametrize(
    ("compiled", "meant"),
    [
        ({}, {"how": "earliest"}),
        ({"how": "earliest"}, {}),
        ({}, {"first": 1}),
        ({"first": 1}, {}),
        ({"first": 1}, {"first": 2}),
        ({}, {"back": 2}),
    ],
)
def test_another_meaning_is_not_proved(compiled, meant, tmp_path):
    claim, _ = compiled_to(induction(**compiled), tmp_path / "one")
    other, _ = compiled_to(induction(**meant), tmp_path / "other")
    with pytest.raises(UnfitError):
        proved(claim, meaning=other.meaning)
    found = attempted(replace(claim, meaning=other.meaning), 1 << 13, lambda text: None)
    assert found.word != "proved"


@pytest.mark.parametrize("prompt", ["aabcd", "e", "abcda", "edcba"])
def test_a_model_that_is_wrong_after_one_prompt_is_not_proved(prompt, tmp_path):
    planted = plant(induction(), prompt)
    save_planted(planted, tmp_path)
    claim = read_claim(tmp_path)
    with pytest.raises(UnfitError):
        proved(claim)


@pytest.mark.parametrize("count", [1, 62, 63, 64, 65, 80])
@pytest.mark.parametrize("is_long", [False, True])
def test_the_last_of_many_cases_is_not_forgotten(is_long, count, tmp_path):
    """After "abca" the latest source that matches is a c, which the model does not look for."""
    claim, _ = compiled_to(induction("abc", 5), tmp_path)
    nodes = list(claim.meaning.nodes)
    number = max(i for i, node in enumerate(nodes) if node.op == "aggregate")
    (followed, late), *_ = nodes[number].cases
    token = next(i for i, node in enumerate(nodes) if node.op == "token")
    is_c = Match(token, late.query, frozenset({("c", 0)}))
    cases = ((followed, late) if is_long else (followed,),) * count + ((is_c,),)
    nodes[number] = replace(nodes[number], cases=cases)
    meaning = replace(claim.meaning, nodes=tuple(nodes))
    text = np.array([0, 1, 2, 0])
    assert meaning.answers(text[None]).token[0] == 2
    assert claim.model.run(claim.token_ids[text]).center.argmax() == claim.token_ids[1]
    with pytest.raises(UnfitError):
        proved(claim, meaning=meaning)


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A claim that is right after every text, and its tensors."""
    return compiled_to(induction("abc", 5), tmp_path_factory.mktemp("right"))


@given(rng=seeds)
@settings(max_examples=sweep(60), deadline=None)
def test_a_changed_weight_that_changes_an_answer_keeps_no_proof(rng, right):
    claim, tensors = right
    name = rng.choice(sorted(tensors))
    changed = tensors[name].copy().reshape(-1)
    places = (
        np.flatnonzero(changed) if changed.any() and rng.random() < 0.8 else np.arange(len(changed))
    )
    place = rng.choice(places)
    old = changed[place]
    changed[place] = rng.choice(
        [0, -old, 2 * old, old * 1.01, old + rng.normal(), old / 2, 64, 1e6, 3e38]
    )
    model = Model(claim.model.config, {**tensors, name: changed.reshape(tensors[name].shape)})
    try:
        found = proved(claim, model)
    except (UnfitError, BudgetError):
        return
    for length in range(1, 6):
        every = np.array([*product(range(3), repeat=length)])
        for text in every[rng.permutation(len(every))[:40]]:
            logits = model.run(claim.token_ids[text])
            assert lead(claim, text, logits.center) >= found.margin - 2 * logits.error.max()


@given(program=matching(), rng=seeds)
@settings(max_examples=sweep(40), deadline=None)
@pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")
def test_scores_and_rows_in_float32(program, rng, tmp_path_factory):
    claim, tensors = compiled_to(program, tmp_path_factory.mktemp("model"))
    kept, check = [], match_proof._Matches._check

    def checked(matches, here, head, match):
        def keep(scores, how, count):
            kept.append((head, scores))

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(match_proof, "check_winners", keep)
            check(matches, here, head, match)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(match_proof._Matches, "_check", checked)
        with suppress(UnfitError, BudgetError):
            proved(claim)
    for text in texts(claim, rng, 1):
        ids = claim.token_ids[text]
        streams, every, _ = forward(rng, claim.model.config, tensors, ids)
        for head, scores in kept:
            check_row(scores.queries.x, text, streams[1])
            check_scores(scores, text, every[1][head])


def tokens_of(settled, position, text):
    """The tokens of a window, by atoms; None where it is not of that kind."""
    if position not in settled.positions:
        return None
    window = settled.window
    return text[window.sources[np.searchsorted(window.positions, position)]]


def check_row(settled, text, rows):
    """The stream is the sum, up to its error; dimensions that nobody uses are left out."""
    for position in range(len(text)):
        if (tokens := tokens_of(settled, position, text)) is None:
            continue
        total = settled.places[position] + sum(
            table[token] for table, token in zip(settled.tables, tokens, strict=True)
        )
        if len(total) == rows.shape[1]:
            apart = rows[position] - total
            assert (np.abs(apart) <= settled.error + 2.0**-45).all()
            assert abs(apart.mean()) <= settled.mean + 2.0**-45


def number_of(kinds, tokens, queries):
    """Which kind some tokens are; kinds of keys were merged, and the same vectors are one."""
    same = np.ones(len(kinds), dtype=bool)
    for atom, each in kinds.tokens.items():
        same &= each == tokens[atom]
    return np.flatnonzero(same)


def check_scores(scores, text, found):
    """Differences of scores are those of tokens and positions, up to the errors."""
    last = len(text) - 1
    here = scores.queries.x
    if (tokens := tokens_of(here, last, text)) is None:
        return
    query = number_of(scores.kinds, tokens, True)
    some = scores.kinds.rows(query)
    center, error = scores.of_tokens(some)
    row = int(np.searchsorted(here.positions, last))
    keys, first = [], 0
    for source, places in zip(scores.sources, scores.places, strict=True):
        for position in range(len(text)):
            there = tokens_of(source.keys.x, position, text)
            if there is None:
                continue
            key = number_of(source.kinds, there, False)
            if len(key):
                at = int(np.searchsorted(source.keys.x.positions, position))
                keys.append((first + key[0], places[row, at], found[last, position]))
        first += len(source.kinds)
    common = scores.of_positions(some)[0]
    for one, place, score in keys:
        moved = scores.of_queries(some, np.array([one]))[0]
        for other, its_place, its_score in keys:
            apart = center[0, one] - center[0, other]
            most = error[0, one] + error[0, other] + moved[other] + common
            most += some.scale[0] * abs(apart) + 1e-9
            assert abs(score - its_score - (apart + place - its_place)) <= most


@given(rng=seeds, count=st.integers(2, 40))
def test_scores_by_the_needed_gap_apart(rng, count):
    scores = np.zeros((1, count), dtype=F)
    scores[0, 1:] = -(needed_gap(count) + np.abs(rng.normal(size=count - 1)) * rng.choice([0, 1]))
    scores = (scores + F(rng.choice([0, 3, -77]))).astype(F)
    scores[0, 1:] = np.minimum(
        scores[0, 1:], np.nextafter(scores[0, 0] - F(needed_gap(count)), F(-1e9))
    )
    weights = steps.softmax(rng, scores[:, rng.permutation(count)])
    assert weights.max() == 1
    assert weights.sum(dtype=np.float64) - 1 <= CERTAIN


@given(rng=seeds)
def test_every_pair_of_positions_is_in_a_branch(rng):
    tokens, shape = 3, (2, 3)
    visible = rng.random(shape) < 0.8
    cases = []
    for _ in range(rng.integers(0, 3)):
        case = []
        for _ in range(rng.integers(0, 3)):
            atoms = tuple(None if rng.random() < 0.3 else int(rng.integers(2)) for _ in range(2))
            counts = [1 if atom is None else tokens for atom in atoms]
            values = [rng.integers(2, size=count) for count in counts]
            holds, positions = rng.random((2, 2)) < 0.5, np.ones(shape, dtype=bool)
            if atoms == (None, None):
                holds, positions = np.ones((2, 2), dtype=bool), rng.random(shape) < 0.5
            case.append(Condition(atoms, *values, holds, positions))
        cases.append(case)
    found = list(branches(cases, visible))
    for i, j, *both in product(*map(range, shape), *[range(tokens)] * 4):
        here, there = both[:2], both[2:]

        def at(pair, here=here, there=there):
            return tuple(
                0 if a is None else side[a] for a, side in zip(pair, (here, there), strict=True)
            )

        is_match = any(all(c.table[at(c.atoms)] and c.positions[i, j] for c in case) for case in cases)
        holding = [
            branch.is_match
            for branch in found
            if branch.positions[i, j] and all(t[at(pair)] for pair, t in branch.tables.items())
        ]
        assert not visible[i, j] or is_match in holding
        assert all(each == is_match for each in holding)


@given(rng=seeds)
def test_every_pair_of_tokens_is_in_a_choice(rng):
    tokens = int(rng.integers(2, 24))
    table = rng.random((tokens, tokens)) < rng.choice([0.05, 0.5])
    if rng.random() < 0.5:
        table = np.eye(tokens, dtype=bool)[rng.permutation(tokens)] & (rng.random((tokens, 1)) < 0.9)
    condition = Condition(
        (0, 1), np.arange(tokens), np.arange(tokens), table, np.ones((1, 1), dtype=bool)
    )
    sets = TokenSets(tokens)
    for branch in branches([[condition]], np.ones((1, 1), dtype=bool)):
        (choice,) = choices(branch, sets)
        found = np.zeros((tokens, tokens), dtype=bool)
        for numbers in choice.sets:
            here = sets[numbers[0]]
            if choice.fused is None:
                found[np.ix_(here, sets[numbers[1]])] = True
            else:
                found[here, choice.fused.token[here]] = True
        assert (found == (table if branch.is_match else ~table)).all()
