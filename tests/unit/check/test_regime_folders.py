"""What is proved of a folder in one arithmetic holds there, and need not hold in another."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from handcraft import Program, Prompts, compile_program, predict
from handcraft_check.arithmetic.regime import IN_FLOAT32, REGIMES
from handcraft_check.claim import read_claim
from handcraft_check.layers.model import Model
from handcraft_check.prove import prove
from handcraft_check.radius import prove_radius

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

F = np.float32
TEXTS = [np.array(text) for n in (1, 2, 3) for text in product((0, 1), repeat=n)]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A program that is proved: b behind a and another token, and a elsewhere."""
    prompts = Prompts("ab", context=3)
    rules = [predict("b").after("a."), predict("a").otherwise()]
    folder = tmp_path_factory.mktemp("original") / "model"
    compile_program(Program(prompts=prompts, rules=rules)).save(folder)
    return folder


def answers(folder):
    claim = read_claim(folder, rehash=True)
    return [int(claim.meaning.answers(text[None]).token[0]) for text in TEXTS], claim.token_ids


def in_torch(folder, dtype, how):
    return transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=dtype, attn_implementation=how)


def least_margin(folder, model):
    """The least margin of all contexts, as transformers computes it."""
    meant, ids = answers(folder)
    found = []
    for text, token in zip(TEXTS, meant, strict=True):
        with torch.no_grad():
            logits = model(torch.from_numpy(ids[text][None])).logits[0, -1].float().numpy()
        right = ids[token]
        found.append(float(logits[right] - np.delete(logits, right).max()))
    return min(found)


@pytest.mark.parametrize("how", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_no_run_has_a_smaller_margin_than_is_proved(name, how, original):
    verdict = prove(original, regime=name)
    assert verdict.word == "proved"
    seen = least_margin(original, in_torch(original, getattr(torch, name), how))
    assert verdict.margin <= seen <= 1.01 * verdict.margin


def wrong_when_rounded(folder):
    """The folder's tensors with one weight that is right, and wrong once it is rounded to bfloat16.

    Right and wrong values of a weight have a boundary. A value between the boundary and the middle of
    the two bfloat16 numbers around it is on the other side of the boundary than what it is rounded to.
    """
    claim, (meant, ids) = read_claim(folder), answers(folder)
    tensors = {
        name: each.astype(np.float64) for name, each in load_file(folder / "model.safetensors").items()
    }
    nearest = REGIMES["bfloat16"].steps.nearest

    def margin(name, place, value, *, surely=False):
        changed = {**tensors, name: tensors[name].copy()}
        changed[name][place] = value
        model, least = Model(claim.model.config, changed), np.inf
        for text, token in zip(TEXTS, meant, strict=True):
            found = model.run(ids[text])
            error = found.error if surely else np.zeros_like(found.error)
            others = np.delete(found.center + error, ids[token])
            least = min(least, (found.center - error)[ids[token]] - others.max())
        return least

    for name in sorted(tensors, key=lambda name: np.count_nonzero(tensors[name])):
        for place in zip(*np.nonzero(tensors[name]), strict=True):
            right, wrong = tensors[name][place], -tensors[name][place]
            if margin(name, place, wrong) > -0.01:
                continue
            while not _are_neighbours(nearest, right, wrong):
                middle = nearest(np.array((right + wrong) / 2)).item()
                if margin(name, place, middle) > 0.01:
                    right = middle
                else:
                    wrong = middle
            value = float(F(right + (wrong - right) * 0.52))
            if margin(name, place, value, surely=True) > 0 and margin(name, place, wrong) < -0.01:
                changed = {key: each.astype(F) for key, each in tensors.items()}
                changed[name][place] = value
                return changed
    raise AssertionError("no weight has a boundary")


def _are_neighbours(nearest, one, other):
    return nearest(np.array((one + other) / 2)).item() in (one, other)


def test_a_model_that_is_right_in_float32_only_is_proved_in_float32_only(original, tmp_path):
    folder = shutil.copytree(original, tmp_path / "model")
    save_file(wrong_when_rounded(original), folder / "model.safetensors")
    assert least_margin(folder, in_torch(folder, torch.float32, "eager")) > 0
    assert least_margin(folder, in_torch(folder, torch.bfloat16, "eager")) < 0
    assert prove(folder, rehash=True).word == "proved"
    assert prove(folder, rehash=True, regime="bfloat16").word != "proved"


def test_within_the_radius_no_answer_changes(original):
    radius, verdict = prove_radius(original)
    assert verdict.word == "proved"
    assert 2.0**-20 < radius < 2.0**-4
    claim, (meant, ids) = read_claim(original), answers(original)
    tensors, rng = load_file(original / "model.safetensors"), np.random.default_rng(0)
    for _ in range(20):
        moved = {}
        for name, each in tensors.items():
            share = rng.choice([-1, 1], size=each.shape) * rng.choice([1, rng.random()])
            moved[name] = each.astype(np.float64) * (1 + radius * share)
        model = Model(claim.model.config, moved)
        for text, token in zip(TEXTS, meant, strict=True):
            logits = model.run(ids[text])
            margin = logits.center[ids[token]] - np.delete(logits.center, ids[token]).max()
            assert margin >= verdict.margin - logits.error.max()


def test_the_radius_is_the_largest_that_is_found(original):
    radius, _ = prove_radius(original)
    assert prove(original, radius=radius).word == "proved"
    assert prove(original, radius=radius * 1.125).word != "proved"


def test_a_model_that_is_not_proved_has_no_radius(original, tmp_path):
    folder = shutil.copytree(original, tmp_path / "model")
    tensors = load_file(original / "model.safetensors")
    changed = {name: -each if "wte" in name else each for name, each in tensors.items()}
    save_file(changed, folder / "model.safetensors")
    radius, verdict = prove_radius(folder, rehash=True)
    assert radius == 0
    assert verdict.word != "proved"


def test_a_radius_is_named_in_the_verdict(original):
    assert "all weights off by up to 1e-06" in prove(original, radius=1e-6).arithmetic
    assert str(replace(IN_FLOAT32, radius=0.5)).endswith("off by up to 0.5")
