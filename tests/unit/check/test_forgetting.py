"""What is forgotten behind a position is widened: no context is ever without a case."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from checked_programs import adder_ahead

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft_check.by_cases.policy import Forgotten, Policy, StuckError
from handcraft_check.by_cases.proof import Proof
from handcraft_check.claim import read_claim
from handcraft_check.prove import prove

DIGITS = 3
FIRST = 2 * DIGITS + 2


def adder():
    """Sums of two numbers of two digits and a 0 above, to base 3, which are written."""
    number = f"[012]{{{DIGITS - 1}}}0"
    prompts = Prompts("012+=", context=FIRST + DIGITS, inputs=rf"={number}\+{number}=", writes=DIGITS)
    digit = prompts.token.map({"0": 0, "1": 1, "2": 2}, default=0)

    def back(places):
        there = prompts.position.map(lambda here: here - places if here >= FIRST else 0)
        return select(prompts.position, there).latest(digit, default=0)

    a, b, a_before, b_before, before = map(
        back, (2 * DIGITS + 1, DIGITS, 2 * DIGITS + 2, DIGITS + 1, 0)
    )
    carry = (a_before + b_before - before).assume([-1, 0, 2, 3]) >= 2
    return Program(prompts=prompts, rules=[predict(((a + b + carry) % 3).map(str)).otherwise()])


def sums():
    """All texts of the adder, from plain Python."""
    for a in product(range(3), repeat=DIGITS - 1):
        for b in product(range(3), repeat=DIGITS - 1):
            total = sum((x + y) * 3**i for i, (x, y) in enumerate(zip(a, b, strict=True)))
            digits = [str(total // 3**i % 3) for i in range(DIGITS)]
            yield "=" + "".join(map(str, a)) + "0+" + "".join(map(str, b)) + "0=" + "".join(digits)


def brackets():
    """Texts of two lengths and kinds, of which the last token depends on two earlier ones."""
    prompts = Prompts("abc", context=5, inputs="[ab]?[abc][ab][abc]")
    token, position = prompts.token, prompts.position
    first = select(position, 0).latest(token, default="a")
    last_c = select(token, "c").latest(position, default=0)
    return Program(
        prompts=prompts,
        rules=[
            predict(first).when(last_c == 1),
            predict("c").when(last_c >= 2),
            predict("a").otherwise(),
        ],
    )


@pytest.fixture(scope="module", params=[adder, adder_ahead, brackets])
def claim(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("claim") / "model"
    compile_program(request.param()).save(folder)
    return read_claim(folder)


def texts(claim):
    """All contexts of a claim, as places in the vocabulary."""
    domain, todo = claim.domain, [((), 0)]
    while todo:
        text, state = todo.pop()
        for place, after in enumerate(domain.next[state].tolist()):
            if after >= 0:
                yield (*text, place), bool(domain.final[after])
                if len(text) < domain.length - domain.writes:
                    todo.append(((*text, place), after))


def tokens_of(proof, tokens):
    """Which tokens each entry may stand for."""
    alone = [tokens.get(i, set()) for i in range(len(proof.entries.numbers))]
    return [
        set().union(*(alone[p] for p in parts)) if parts else alone[i]
        for i, parts in enumerate(proof.entries.parts)
    ]


@pytest.mark.parametrize("is_single", [False, True])
def test_every_text_is_in_a_case(claim, is_single):
    proof = Proof(
        claim.model, claim.token_ids, claim.domain, claim.meaning, Policy(is_single=is_single)
    )
    tokens: dict[int, set[int]] = {}
    decided = proof.entries.decided

    def noted(numbers, places, position):
        found = decided(numbers, places, position)
        for entry, place in zip(found.tolist(), places.tolist(), strict=True):
            tokens.setdefault(entry, set()).add(place)
        return found

    proof.entries.decided = noted
    proof.run()
    known = tokens_of(proof, tokens)
    count = 0
    for text, is_input in texts(claim):
        written = [text]
        if is_input:
            for _ in range(claim.domain.writes - 1):
                answer = int(claim.meaning.answers(np.array([written[-1]])).token[0])
                written.append((*written[-1], answer))
        for each in written:
            count += 1
            level = proof._levels[len(each)][0]
            inside = [
                all(place in known[entry] for place, entry in zip(each, row, strict=True))
                for row in level.entries.tolist()
            ]
            assert any(inside), [claim.meaning.vocabulary[place] for place in each]
    assert count > 60


def test_what_was_released_is_forgotten(tmp_path):
    compile_program(adder()).save(tmp_path / "model")
    found = prove(tmp_path / "model")
    assert (found.word, found.inputs) == ("proved", 81)
    texts_of_adder = set(sums())
    assert len(texts_of_adder) == 81
    assert "".join(found.context) in {text[: len(found.context)] for text in texts_of_adder}


def stuck(position, decided, eager=None):
    return StuckError("too little", (), 0.0, position, decided, eager or {})


def behind(split=(), mixed=()):
    return Forgotten(frozenset(split), frozenset(mixed))


def test_what_was_decided_before_is_kept_first():
    policy = Policy()
    forgotten = [behind(), behind(split=[0], mixed=[1]), behind()]
    assert policy.learn(stuck(3, [0, 1]), forgotten) == 1
    assert policy.kept == {(1, 0), (2, 0)}
    assert policy.learn(stuck(3, [0, 1]), forgotten) == 1
    assert policy.kept == {(1, 0), (2, 0), (1, 1), (2, 1)}
    assert policy.learn(stuck(3, [0, 1]), forgotten) is None


def test_what_was_read_in_vain_is_decided_up_to_the_layer_that_reads_it():
    policy = Policy()
    forgotten = [behind() for _ in range(5)]
    assert policy.learn(stuck(4, [2, 3], {2: 1, 3: 1}), forgotten) == 2
    assert policy.eager == {2: 1, 3: 1}
    assert policy.learn(stuck(4, [2, 3], {3: 2, 2: 1}), forgotten) == 3
    assert policy.eager == {2: 1, 3: 2}
    assert policy.learn(stuck(4, [2, 3], {3: 1}), forgotten) is None


def test_what_was_kept_is_released_once():
    policy = Policy(kept={(1, 0), (2, 0)})
    assert [policy.releases(position) for position in range(5)] == [False, False, False, True, False]


def test_what_had_to_stay_twice_is_expected_to():
    policy = Policy()
    policy.learn(stuck(3, [0]), [behind(), behind(), behind(split=[0])])
    policy.expect(4, [2])
    assert policy.kept == {(2, 0)}
    policy.learn(stuck(4, [1]), [behind(), behind(), behind(), behind(split=[1])])
    policy.expect(5, [2, 3])
    assert policy.kept == {(2, 0), (3, 1), (5, 3)}
