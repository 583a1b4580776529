"""Programs that predict probabilities are proved, and no run in float32 is further from them."""

from __future__ import annotations

import json
import runpy
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from handcraft import Program, Prompts, compile_program, predict, save, select
from handcraft.proofs.write_meaning import WITHIN
from handcraft.verify.probabilities import CLOSE
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.by_windows import window_model
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.judged import Judge, distance_bound, surely_off
from handcraft_check.program.meaning import program_hash
from handcraft_check.prove import prove
from handcraft_check.refute import is_context
from handcraft_check.verdict import Verdict

JUDGED = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "judged_folders.py"))
WEIGHTS, CERTIFICATE = "model.safetensors", "certificate.json"

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def distance(logits, q):
    """In total variation: [..., token], [..., token]."""
    return np.abs(softmax(logits) - q).sum(axis=-1) / 2


def drawn_shares(rng, size):
    """Probabilities with 0, as weights from 1 to 9."""
    weights = rng.integers(1, 10, size) * (rng.random(size) < 0.7)
    weights[rng.integers(size)] += 1
    return weights / weights.sum(), [Fraction(int(w), int(weights.sum())) for w in weights]


@given(seeds)
def test_no_logits_are_further_than_the_bound(rng):
    size = int(rng.integers(1, 6))
    q, _ = drawn_shares(rng, size)
    may = q > 0
    h = float(10 ** rng.uniform(-6, 1))
    ends = rng.choice([0, h], size) if rng.random() < 0.5 else rng.uniform(0, h, size)
    logits = np.where(may, np.log(np.where(may, q, 1)) + ends, rng.uniform(-20, 0, size))
    logits += rng.normal() * 10
    leak = np.exp(logits[~may]).sum() / np.exp(logits[may]).sum()
    assert distance(logits, q) <= distance_bound(h, leak) + 1e-12


@pytest.mark.parametrize("h", [1e-4, 0.1, 1.0, 7.0])
def test_the_bound_is_reached(h):
    """By two tokens, of which the less probable one gains h nats."""
    q = np.array([1 - 1 / (1 + np.exp(h / 2)), 1 / (1 + np.exp(h / 2))])
    assert distance(np.log(q) + np.array([0, h]), q) == pytest.approx(float(distance_bound(h, 0.0)))


@given(seeds)
def test_what_is_judged_holds_of_all_logits_in_the_boxes(rng):
    size, rows = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    padded = size + int(rng.integers(0, 3))
    ids = rng.permutation(padded)[:size]
    shares = [drawn_shares(rng, size)[1] for _ in range(2)]
    listed = [{place: share for place, share in enumerate(each) if share} for each in shares]
    judge = Judge(ids, listed, Fraction(1, 100), padded)
    answers = rng.integers(-1, size + 2, rows)
    center = rng.normal(size=(rows, padded)) * 10 ** rng.uniform(-3, 2)
    error = 10 ** rng.uniform(-6, 1, size=(rows, padded)) * (rng.random() < 0.8)
    for row, answer in enumerate(answers):
        if answer >= 0 and rng.random() < 0.7:  # near what is meant
            center[row] = np.maximum(judge.logs_of(answer), -30 - 10 * rng.random(padded))
    logits = Bounded(center, error)

    def differences(some, token):
        wide = error[some][:, token, None] + error[some]
        return Bounded(center[some][:, token, None] - center[some], wide)

    with pytest.MonkeyPatch.context() as patch:
        if rng.random() < 0.5:
            patch.setattr("handcraft_check.judged.FEW", 0)
        judged = judge.judged(logits, answers, differences)
    for row, answer in enumerate(answers):
        if answer < 0:
            assert judged.margins[row] == -np.inf
            continue
        q = np.exp(judge.logs_of(answer))
        assert q.sum() == pytest.approx(1)
        for _ in range(4):
            point = center[row] + error[row] * rng.choice([-1, 0, 1], padded)
            found = distance(point, q)
            assert surely_off(logits[row], judge.logs_of(answer)) <= found
            assert found <= judged.distances[row] + 1e-12
            margin = point[q > 0].min() - point[q == 0].max(initial=-np.inf)
            assert margin >= judged.margins[row] - 1e-9


def test_what_is_not_a_number_is_as_far_as_can_be():
    judge = Judge(np.arange(2), [{0: Fraction(1, 2), 1: Fraction(1, 2)}], Fraction(1, 100), 2)
    logits = Bounded(np.array([[0.0, np.nan]]), np.zeros((1, 2)))
    for few in (0, 2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("handcraft_check.judged.FEW", few)
            judged = judge.judged(
                logits,
                np.array([2]),
                lambda rows, token: Bounded(logits.center[:, [token]] - logits.center, logits.error),
            )
        assert judged.distances.tolist() == [1.0]
    assert surely_off(logits[0], judge.logs_of(2)) == 0.0


def test_the_stated_distance_is_that_of_verify():
    assert float(WITHIN) == CLOSE


def counted(letters="abc"):
    """Which rule decides depends on how many letters there were: positions one after the other."""
    prompts = Prompts(letters, context=4)
    before = select(prompts.token == "a", True).count()
    return Program(
        prompts=prompts,
        rules=[
            predict({"a": Fraction(1, 3), "b": Fraction(2, 3)}).when(before >= 2),
            predict("c").when(prompts.token == "b"),
            predict({"a": Fraction(1, 7), "b": Fraction(1, 7), "c": Fraction(5, 7)}).otherwise(),
        ],
    )


@st.composite
def n_grams(draw):
    """Programs of a few patterns with distributions or tokens, the longer ones first."""
    size, length = draw(st.integers(2, 3)), draw(st.integers(1, 4))
    letters = "abc"[:size]
    token = st.sampled_from(letters)
    weights = st.lists(st.integers(0, 9), min_size=size, max_size=size).filter(any)

    def answer():
        if draw(st.integers(0, 3)) == 0:
            return draw(token)
        given = draw(weights)
        return {t: Fraction(w, sum(given)) for t, w in zip(letters, given, strict=True) if w}

    pattern = st.lists(token, min_size=1, max_size=min(length, 2)).map("".join)
    patterns = draw(st.lists(pattern, min_size=1, max_size=4, unique=True))
    rules = [predict(answer()).after(each) for each in sorted(patterns, key=lambda p: -len(p))]
    shares = {t: Fraction(i + 1, size * (size + 1) // 2) for i, t in enumerate(letters)}
    return Program(letters, length, [*rules, predict(shares).otherwise()])


def furthest(folder, claim):
    """The largest distance and the least margin of all contexts, run in float32."""
    files, judge = JUDGED["Original"].read(folder), claim.judge
    far, least = 0.0, np.inf
    for texts, _ in JUDGED["contexts"](claim):
        logits = JUDGED["logits"](files, claim.token_ids[texts]).astype(np.float64)
        for row, answer in zip(logits, claim.meaning.answers(texts).codes.tolist(), strict=True):
            q = np.exp(judge.logs_of(answer))
            found = distance(row, q) if np.isfinite(row).all() else 1.0
            margin = row[q > 0].min() - row[q == 0].max(initial=-np.inf)
            far, least = max(far, found), min(least, -np.inf if np.isnan(margin) else margin)
    return far, least


def assert_as_proved(folder):
    verdict = prove(folder)
    assert verdict.word == "proved", verdict
    far, least = furthest(folder, read_claim(folder))
    assert far <= verdict.distance <= 1e-4
    assert least >= verdict.margin
    return verdict


@given(program=n_grams(), outright=st.sampled_from([0, 1 << 13]))
@settings(max_examples=15)
@pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")
def test_no_run_of_a_window_is_further_than_what_is_proved(program, outright, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save(compile_program(program), folder / "model", proof="never")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_model, "OUTRIGHT", outright)
        assert_as_proved(folder / "model")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return save(compile_program(counted()), tmp_path_factory.mktemp("counted") / "model")


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "model")


def test_no_run_is_further_where_positions_are_taken_one_after_the_other(original):
    verdict = assert_as_proved(original)
    assert verdict.inputs == 120
    assert "probabilities: off by at most" in str(verdict)
    assert "(0.0001 is allowed), most after" in str(verdict)
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_whatever_may_follow_is_followed(tmp_path):
    """After an input, each token that the program gives a probability, and no other."""
    prompts = Prompts("abc", context=4, inputs="a", writes=4)
    rules = [
        predict({"b": Fraction(1, 2), "c": Fraction(1, 2)}).when(prompts.token == "a"),
        predict("a").otherwise(),
    ]
    save(compile_program(Program(prompts=prompts, rules=rules)), tmp_path / "model")
    verdict, claim = prove(tmp_path / "model"), read_claim(tmp_path / "model")
    assert (verdict.word, verdict.cases) == ("proved", 6)  # an a behind b or c is one case
    for text, is_known in {"ab": True, "ac": True, "aa": False, "aba": True}.items():
        assert is_context(claim, ["abc".index(token) for token in text]) == is_known


def test_a_weight_that_changes_probabilities_loses_the_proof(folder):
    """Of weights changed at random: what is proved is as near as stated, what is not is not proved."""
    tensors = load_file(folder / WEIGHTS)
    words, far_off = [], 0
    for number in range(40):
        rng = np.random.default_rng(number)
        changed = {name: tensor.copy() for name, tensor in tensors.items()}
        name = str(rng.choice(sorted(changed)))
        flat = changed[name].reshape(-1)
        place = rng.choice(np.flatnonzero(flat)) if flat.any() else 0
        flat[place] *= 1 + rng.choice([-1, 1]) * 2.0 ** -rng.integers(1, 20)
        save_file(changed, folder / WEIGHTS)
        verdict = prove(folder, rehash=True)
        far, least = furthest(folder, read_claim(folder, rehash=True))
        is_off = far > 1e-4 or least <= 0
        far_off += is_off
        words.append((verdict.word, is_off))
        if verdict.word == "proved":
            assert far <= verdict.distance <= 1e-4, (name, place)
            assert least >= verdict.margin, (name, place)
    assert ("proved", True) not in words
    assert ("refuted", False) not in words
    assert far_off >= 5
    assert words.count(("refuted", True)) >= 0.6 * far_off
    assert words.count(("proved", False)) >= 0.85 * (len(words) - far_off)


def changed_certificate(folder, change):
    certificate = json.loads((folder / CERTIFICATE).read_text("utf-8"))
    change(certificate["meaning"]["answer"])
    certificate["program"] = program_hash(certificate["contexts"], certificate["meaning"])
    (folder / CERTIFICATE).write_text(json.dumps(certificate), "utf-8")


def test_other_probabilities_are_refuted(folder):
    def change(answer):
        answer["rules"][0]["probabilities"] = {"a": {"over": [334, 1000]}, "b": {"over": [666, 1000]}}

    changed_certificate(folder, change)
    verdict = prove(folder)
    assert verdict.word == "refuted"
    assert verdict.reason.startswith("the probabilities are off by at least 0.0006")


def test_a_token_that_cannot_follow_is_named(folder):
    def change(answer):
        answer["rules"][0]["probabilities"] = {"b": {"over": [2, 3]}, "c": {"over": [1, 3]}}

    changed_certificate(folder, change)
    verdict = prove(folder)
    assert verdict.word == "refuted"
    assert verdict.reason == "the model prefers 'a', which cannot follow, to 'c'"


def test_a_smaller_distance_than_can_be_shown(folder):
    changed_certificate(folder, lambda answer: answer.update(within={"over": [1, 10**7]}))
    verdict = prove(folder)
    assert verdict.word == "unproved"
    assert verdict.reason.startswith("the probabilities may be off by")


@pytest.mark.parametrize("within", [None, 0, 1, {"over": [3, 2]}, {"over": [-1, 2]}, True, 0.5, "a"])
def test_a_distance_of_no_sense_is_refused(within, folder):
    def change(answer):
        if within is None:
            del answer["within"]
        else:
            answer["within"] = within

    changed_certificate(folder, change)
    with pytest.raises(CheckError, match=r"within|0 and 1|number"):
        prove(folder)


def test_a_distance_where_nothing_has_probabilities_is_refused(tmp_path):
    program = Program("ab", 3, [predict("b").after("a"), predict("a").otherwise()])
    save(compile_program(program), tmp_path / "model", proof="never")
    changed_certificate(tmp_path / "model", lambda answer: answer.update(within={"over": [1, 10]}))
    with pytest.raises(CheckError, match="of no use"):
        prove(tmp_path / "model")


def test_few_digits_are_too_few(folder):
    verdict = prove(folder, regime="bfloat16")
    assert verdict.word == "refuted"
    assert verdict.reason.startswith("the probabilities are off by at least 0.00")


@pytest.mark.parametrize(("vocabulary", "text"), [("ab", "after 'ab"), (["aa", "b"], "after 'aa b")])
def test_contexts_are_printed_as_run_reads_them(tmp_path, vocabulary, text):
    first, second = vocabulary
    program = Program(
        vocabulary, 2, [predict(first).after(text.removeprefix("after '")), predict(second).otherwise()]
    )
    verdict = prove(save(compile_program(program), tmp_path / "model"))
    verdict = replace(verdict, context=(first, second))
    assert f"least {text}'" in str(verdict)
    assert str(Verdict.from_json(verdict.to_json())) == str(verdict)
