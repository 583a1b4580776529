"""A transform that is broken in one place is refused, or changes the logits of a random GPT-2."""

import numpy as np
import pytest
from disguised_models import COMBINATIONS, drafted, logits_of, random_gpt2, texts_of

from handcraft import Program, compile_program, disguise, predict
from handcraft.disguise import Distract, Match, Rotate, Split, Superpose, fold_norms, moved, resize
from handcraft.disguise.transforms import distract, match, rotate, split, superpose
from handcraft.errors import PrecisionError

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


def turned_mean(n, rng):
    return rotate.orthogonal(n, rng)


def too_little(count, rng):
    return np.full(count, 0.02)


def anywhere(self, count):
    return 100 * self.rng.standard_normal((count, self.model.shape.n_embd))


def half_the_keys(self, model):
    step = balanced(self, model)
    heads = [
        [type(c)(c.source, c.query, c.key / 2, c.value, c.output / 4) for c in b] for b in step.heads
    ]
    return type(step)(**{**vars(step), "heads": tuple(map(tuple, heads))})


balanced = match.Match._balanced

BROKEN = {
    "a rotation that turns the mean": (rotate, "rotation", turned_mean, Rotate()),
    "shares that do not sum to 1": (split, "_shares", too_little, Split(2, 2)),
    "distractors that write anywhere": (distract._Maker, "_vectors", anywhere, Distract(2, 8)),
    "halves that are not made up for": (match.Match, "_balanced", half_the_keys, Match()),
    "superposed directions that are not kept": (
        superpose._Seen,
        "kept",
        lambda self, count: np.eye(self.texts.shape[1])[:, :count],
        Superpose(20),
    ),
}


@pytest.mark.parametrize(("where", "name", "broken", "transform"), BROKEN.values(), ids=BROKEN)
def test_a_broken_transform_of_a_program_is_refused(monkeypatch, where, name, broken, transform):
    compiled = compile_program(AAB)
    disguise(compiled, [transform])
    monkeypatch.setattr(where, name, broken)
    with pytest.raises(PrecisionError, match=f"{transform.name} breaks") as found:
        disguise(compiled, [transform])
    assert "leave out" in found.value.fix or "use " in found.value.fix


STEPS = {
    "a wider stream that is not scaled": (resize, "sqrt", lambda x: 1.0, "pad the width only"),
    "a gain that is folded twice": (moved, "_widened", lambda model, step: 2.0, "pad the width only"),
    "heads that are left out": (
        moved._Channels,
        "_copies",
        lambda self: [(0, self.step.heads[self.block][0])],
        "permute",
    ),
    "norms that are not folded": (moved, "fold_norms", lambda model, untie: model, "rotate"),
    "a gain that is not folded": (fold_norms, "readers", lambda model: {}, "rotate"),
}


@pytest.mark.parametrize(("where", "name", "broken", "way"), STEPS.values(), ids=STEPS)
def test_a_broken_step_changes_logits(monkeypatch, where, name, broken, way):
    model = random_gpt2()
    texts = texts_of(model)
    right = logits_of(model, texts)
    monkeypatch.setattr(where, name, broken)
    changed = drafted(model, COMBINATIONS[way]).model
    assert not np.allclose(logits_of(changed, texts), right, rtol=0, atol=1e-7)
