"""Margins of single texts: never above what a run gives, and what `prove` says of the same texts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft.architecture import GPT2, LLAMA
from handcraft.conformance.cases.request import Request
from handcraft.conformance.faults.known import network_of
from handcraft.formats.huggingface.write_repository import write_model
from handcraft.model import Model, Shape
from handcraft.vocabulary import Vocabulary
from handcraft_check.errors import CheckError
from handcraft_check.texts import proved_margins

TARGETS = {
    "gpt2": (GPT2, Shape(9, 12, 8, 2, (16, 16))),
    "untied": (replace(GPT2, tied=False), Shape(9, 12, 8, 2, (16,))),
    "llama": (LLAMA, Shape(9, 13, 8, 4, (16, 16), 2, 4)),
    "window": (replace(LLAMA, window=3, tied=False), Shape(9, 13, 8, 4, (16,), 1, 4)),
}
TEXTS = ((0, 3, 1, 1, 7, 2), (5,), (0, 3, 1, 6))


def random_model(target, seed):
    architecture, shape = TARGETS[target]
    draw = np.random.default_rng(seed)
    tensors = {
        name: draw.normal(size=sizes).astype(np.float32)
        for name, sizes in shape.tensors(architecture).items()
    }
    return Model(architecture, shape, Vocabulary("abcdefgh"), tensors)


def written(target, seed, tmp_path_factory):
    model = random_model(target, seed)
    folder = tmp_path_factory.mktemp(target)
    write_model(model, folder)
    return model, folder


def runs(model, dtype):
    """The logits of every text, by handcraft's plain engine."""
    begin = () if model.begin_id is None else (model.begin_id,)
    engine = network_of(model.architecture)(model, dtype)
    for text in TEXTS:
        ids = (*begin, *text)
        (logits,) = engine.answer(Request("every", (ids,))).logits
        yield ids, len(begin), logits.astype(np.float64)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=sweep(12))
@given(seed=st.integers(0, 2**32 - 1))
def test_no_margin_is_above_that_of_a_run(target, dtype, tmp_path_factory, seed):
    model, folder = written(target, seed, tmp_path_factory)
    texts, margins = {}, {}
    for ids, lead, logits in runs(model, dtype):
        best = logits.argsort(axis=1)[:, ::-1]
        # one id is right at the first place, and two are at all others
        texts[ids] = {at: tuple(best[at, : 1 + (at > lead)].tolist()) for at in range(lead, len(ids))}
        margins[ids] = {
            at: logits[at, list(right)].min() - np.delete(logits[at], right).max()
            for at, right in texts[ids].items()
        }
    proved = proved_margins(folder, texts, dtype)
    for ids, of_text in margins.items():
        for at, margin in of_text.items():
            assert proved[ids][at] <= margin + 1e-6 * (1 + abs(margin))
    if dtype == "float32":
        assert any(proved[ids][at] > 0 for ids in texts for at in texts[ids])


@pytest.mark.parametrize("target", ["gpt2", "llama"])
def test_a_text_has_the_margins_of_its_beginnings_and_of_its_neighbours(target, tmp_path_factory):
    model, folder = written(target, 5, tmp_path_factory)
    (ids, lead, logits), *_ = runs(model, "float32")
    right = {at: (int(logits[at].argmax()),) for at in range(lead, len(ids))}
    together = proved_margins(folder, {ids: right, ids[: lead + 2]: {lead + 1: right[lead + 1]}})
    alone = {
        at: proved_margins(folder, {ids[: at + 1]: {at: ids_}})[ids[: at + 1]][at]
        for at, ids_ in right.items()
    }
    assert together[ids] == pytest.approx(alone, rel=1e-9)
    for at, margin in alone.items():
        best = np.sort(logits[at])[::-1]
        assert margin == pytest.approx(best[0] - best[1], abs=0.05 * abs(best[0]))
    assert together[ids[: lead + 2]][lead + 1] == pytest.approx(alone[lead + 1], rel=1e-9)


def test_a_wrong_answer_is_not_proved(tmp_path_factory):
    model, folder = written("gpt2", 7, tmp_path_factory)
    (ids, _, logits), *_ = runs(model, "float32")
    worst = int(logits[-1].argmin())
    assert proved_margins(folder, {ids: {5: (worst,)}})[ids][5] < 0


@pytest.mark.parametrize(
    ("text", "right", "says"),
    [
        ((0, 1), {1: (2,)}, "does not begin as those of the model"),
        ((8, 1, 9), {1: (2,)}, "an id that the model does not have"),
        ((8, *[1] * 13), {1: (2,)}, "a text of 14 tokens, and at most 12"),
        ((8, 1), {0: (2,)}, "at no position"),
        ((8, 1), {2: (2,)}, "at no position"),
        ((8, 1), {1: ()}, "nothing is right"),
        ((8, 1), {}, "nothing is right"),
        ((8,), {0: (1,)}, "does not begin as those of the model"),
    ],
)
def test_a_text_that_is_none_of_the_model_is_refused(text, right, says, tmp_path_factory):
    _, folder = written("llama", 3, tmp_path_factory)
    with pytest.raises(CheckError, match=says):
        proved_margins(folder, {text: right})


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(CheckError, match=r"config\.json"):
        proved_margins(tmp_path, {(1,): {0: (1,)}})
