"""Every transform keeps the function of any GPT-2, and its map says where everything went."""

import numpy as np
import pytest
from disguised_models import COMBINATIONS, SHAPE, drafted, logits_of, random_gpt2, texts_of

from handcraft.disguise import Carried, Place, carried_weights
from handcraft.disguise.carried import HeadCopy, unchanged
from handcraft.disguise.moved import moved
from handcraft.disguise.transforms.rotate import orthogonal
from handcraft.errors import ModelError

EXACT = 1e-7
"""How far logits of a few units may be off in float64: a mistake changes them by far more."""

MODELS = {
    "untied": {},
    "no scale": {"scales_scores": False},
    "scales by layer": {"scales_by_layer": True},
    "erf": {"activation": "gelu_erf"},
}
without_norm = {name: each for name, each in COMBINATIONS.items() if name not in ("distract", "all")}


def contributions(model, texts, block):
    """What each head and each unit of a block writes: [head or unit, text, position, n_embd]."""
    found = {}
    model.watch(
        np.array(model.vocabulary.numbers)[texts],
        lambda name, value: found.__setitem__(name, value.copy()),
    )
    shape, heads = model.shape, []
    out = model.tensors[f"h.{block}.attn.c_proj.weight"].reshape(shape.n_head, shape.head_dim, -1)
    for number in range(shape.n_head):
        values = found[f"h.{block}.attn.head_output"][:, number]
        heads.append(values @ out[number][: values.shape[-1]])
    hidden = found[f"h.{block}.mlp.hidden"]
    rows = model.tensors[f"h.{block}.mlp.c_proj.weight"]
    used = np.flatnonzero(rows.any(axis=1))
    if hidden.shape[-1] != len(rows):  # without the units that write nothing
        hidden_all = np.zeros((*hidden.shape[:-1], len(rows)))
        hidden_all[..., used] = hidden
        hidden = hidden_all
    return np.array(heads), np.moveaxis(hidden, -1, 0)[..., None] * rows[:, None, None, :]


def centred(stream):
    return stream - stream.mean(axis=-1, keepdims=True)


@pytest.mark.parametrize("facts", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("transforms", COMBINATIONS.values(), ids=COMBINATIONS)
def test_logits_stay(transforms, facts):
    model = random_gpt2(**facts)
    texts = texts_of(model)
    changed = drafted(model, transforms).model
    assert np.allclose(logits_of(changed, texts), logits_of(model, texts), rtol=0, atol=EXACT)


@pytest.mark.parametrize("transforms", without_norm.values(), ids=without_norm)
def test_logits_stay_without_layer_norm(transforms):
    model = random_gpt2(norm=False, tied=True)
    texts = texts_of(model)
    changed = drafted(model, transforms).model
    assert np.allclose(logits_of(changed, texts), logits_of(model, texts), rtol=1e-9, atol=EXACT)


@pytest.mark.parametrize("name", ["permute", "match"])
def test_a_tied_head_stays_tied_where_the_stream_is_not_moved(name):
    model = random_gpt2(tied=True)
    texts = texts_of(model)
    changed = drafted(model, COMBINATIONS[name], untie=False).model
    assert changed.architecture.tied
    assert np.allclose(logits_of(changed, texts), logits_of(model, texts), rtol=0, atol=EXACT)


def test_a_tied_head_becomes_a_tensor_of_its_own_only_where_that_is_allowed():
    model = random_gpt2(tied=True)
    texts = texts_of(model)
    with pytest.raises(ModelError, match="different gains") as found:
        drafted(model, COMBINATIONS["rotate"], untie=False)
    assert "untie=True" in found.value.fix
    changed = drafted(model, COMBINATIONS["rotate"]).model
    assert not changed.architecture.tied
    assert np.allclose(logits_of(changed, texts), logits_of(model, texts), rtol=0, atol=EXACT)


@pytest.mark.parametrize("transforms", COMBINATIONS.values(), ids=COMBINATIONS)
def test_the_stream_is_recovered_by_the_inverse(transforms):
    model = random_gpt2()
    draft = drafted(model, transforms)
    texts, old, new = texts_of(model), {}, {}
    numbers = [np.array(each.vocabulary.numbers)[texts] for each in (model, draft.model)]
    model.watch(numbers[0], lambda name, value: old.__setitem__(name, value.copy()))
    draft.model.watch(numbers[1], lambda name, value: new.__setitem__(name, value.copy()))
    carried = draft.carried
    for block in range(SHAPE.n_layer):
        for after in ("after_attention", "output"):
            was = old[f"h.{block}.{after}"]
            found = new[f"h.{carried.block(block)}.{after}"] @ carried.inverse.T
            assert np.allclose(centred(found), centred(was), rtol=0, atol=EXACT)


@pytest.mark.parametrize("transforms", COMBINATIONS.values(), ids=COMBINATIONS)
def test_what_heads_and_units_write_is_the_sum_of_what_their_copies_write(transforms):
    model = random_gpt2()
    draft = drafted(model, transforms)
    texts, carried = texts_of(model), draft.carried
    for block in range(SHAPE.n_layer):
        old_heads, old_units = contributions(model, texts, block)
        new_heads, new_units = contributions(draft.model, texts, carried.block(block))
        for number, written in enumerate(old_heads):
            copies = sum(new_heads[at.number] for at in carried.head(block, number))
            assert np.allclose(copies, carried.direction(written), rtol=0, atol=EXACT)
        for number, written in enumerate(old_units):
            copies = sum(new_units[at.number] for at in carried.unit(block, number))
            assert np.allclose(copies, carried.direction(written), rtol=0, atol=EXACT)


@pytest.mark.parametrize("transforms", COMBINATIONS.values(), ids=COMBINATIONS)
def test_parts_of_the_weights_are_carried_to_parts_of_the_weights(transforms):
    model = random_gpt2()
    draft = drafted(model, transforms)
    rng = np.random.default_rng(3)
    masks = {name: rng.random(each.shape) < 0.5 for name, each in model.tensors.items()}
    parts = [
        {name: each * (masks[name] == side) for name, each in model.tensors.items()}
        for side in (True, False)
    ]
    found = [carried_weights(model, draft.model, draft.carried, part) for part in parts]
    nothing = {name: 0 * each for name, each in model.tensors.items()}
    bias = carried_weights(model, draft.model, draft.carried, nothing)
    for name, tensor in draft.model.tensors.items():
        if ".ln_" in f".{name}":
            continue
        sum_ = found[0][name] + found[1][name] - bias[name]
        kept = np.ones(tensor.shape, dtype=bool)
        leave_out_distractors(kept, name, draft)
        assert np.allclose(sum_[kept], tensor[kept], rtol=1e-9, atol=EXACT), name


def leave_out_distractors(kept, name, draft):
    """Mark the weights of distractors, which are no part of the original."""
    shape = draft.model.shape
    for block, number in draft.carried.distractor_heads:
        channels = np.arange(number * shape.head_dim, (number + 1) * shape.head_dim)
        if name == f"h.{block}.attn.c_proj.weight":
            kept[channels] = False
        if name.startswith(f"h.{block}.attn.c_attn"):
            kept[..., np.concatenate([channels + part * shape.n_embd for part in range(3)])] = False
    for block, number in draft.carried.distractor_units:
        if name == f"h.{block}.mlp.c_proj.weight":
            kept[number] = False
        if name.startswith(f"h.{block}.mlp.c_fc"):
            kept[..., number] = False


@pytest.mark.parametrize("block", range(SHAPE.n_layer))
def test_a_distractor_that_writes_into_the_mean_can_be_removed_alone(block):
    model = random_gpt2()
    draft = drafted(model, [*COMBINATIONS["distract"], *COMBINATIONS["rotate twice"]])
    texts, shape = texts_of(model), draft.model.shape
    right = logits_of(draft.model, texts)
    for at in [each for each in draft.carried.distractor_heads if each.block == block]:
        out = draft.model.tensors[f"h.{block}.attn.c_proj.weight"].copy()
        assert out[at.number * shape.head_dim :][: shape.head_dim].any()
        out[at.number * shape.head_dim :][: shape.head_dim] = 0
        removed = draft.with_tensors({f"h.{block}.attn.c_proj.weight": out}).model
        assert np.allclose(logits_of(removed, texts), right, rtol=0, atol=EXACT)
    for at in [each for each in draft.carried.distractor_units if each.block == block]:
        out = draft.model.tensors[f"h.{block}.mlp.c_proj.weight"].copy()
        assert out[at.number].any()
        out[at.number] = 0
        removed = draft.with_tensors({f"h.{block}.mlp.c_proj.weight": out}).model
        assert np.allclose(logits_of(removed, texts), right, rtol=0, atol=EXACT)
    real = draft.carried.head(block, 0)[0]
    out = draft.model.tensors[f"h.{block}.attn.c_proj.weight"].copy()
    out[real.number * shape.head_dim :][: shape.head_dim] = 0
    removed = draft.with_tensors({f"h.{block}.attn.c_proj.weight": out}).model
    assert not np.allclose(logits_of(removed, texts), right, rtol=0, atol=1e-3)


def test_maps_compose():
    model = random_gpt2()
    first = drafted(model, COMBINATIONS["split"])
    second = drafted(first.model, COMBINATIONS["all"])
    both = first.carried.then(second.carried)
    texts = texts_of(model)
    for number in range(SHAPE.n_head):
        old, _ = contributions(model, texts, 1)
        new, _ = contributions(second.model, texts, both.block(1))
        copies = sum(new[at.number] for at in both.head(1, number))
        assert np.allclose(copies, both.direction(old[number]), rtol=0, atol=EXACT)
    assert np.allclose(both.stream, second.carried.stream @ first.carried.stream)
    with pytest.raises(ModelError, match="follows one"):
        second.carried.then(first.carried)


def test_readers_read_what_they_read_before():
    model = random_gpt2()
    carried = drafted(model, COMBINATIONS["all"]).carried
    rng = np.random.default_rng(0)
    probe, written = rng.normal(size=(2, SHAPE.n_embd))
    assert np.isclose(carried.reading(probe) @ carried.direction(written), probe @ written)
    with pytest.raises(ModelError, match="vector of shape"):
        carried.direction(np.zeros(5))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda c: c.block(2),
        lambda c: c.head(0, 3),
        lambda c: c.head(-1, 0),
        lambda c: c.unit(1, 20),
        lambda c: c.token(7),
        lambda c: c.token(-1),
    ],
)
def test_what_the_original_does_not_have_is_an_error(wrong):
    with pytest.raises(ModelError, match="the original has no"):
        wrong(unchanged(SHAPE))


def wrong_steps():
    """Maps that are not what they must be, each in one way."""
    right, rng = unchanged(SHAPE), np.random.default_rng(0)

    def step(**changes):
        return Carried(**{**vars(right), **changes})

    def with_head(**parts):
        copy = HeadCopy(**{**vars(right.heads[0][0]), **parts})
        return step(heads=((copy, *right.heads[0][1:]), right.heads[1]))

    mixed = orthogonal(SHAPE.head_dim, rng)
    yield "the mean is turned", step(stream=orthogonal(SHAPE.n_embd, rng))
    yield "queries are rotated without keys", with_head(query=mixed)
    yield "values are rotated without outputs", with_head(value=mixed)
    yield "a share is lost", step(shares=(np.full(20, 0.9), right.shares[1]))
    yield "a unit is computed twice", step(units=(np.zeros(20, dtype=int), right.units[1]))
    first, *_, last = right.heads[1]
    yield "a head is computed twice", step(heads=(right.heads[0], (first, first, last)))
    yield "blocks change their places", step(blocks=(1, 0))


@pytest.mark.parametrize(("why", "step"), [*wrong_steps()])
def test_a_wrong_map_changes_logits(why, step):
    model = random_gpt2()
    texts = texts_of(model)
    changed = moved(model, step)
    assert not np.allclose(logits_of(changed, texts), logits_of(model, texts), rtol=0, atol=1e-3), why


def test_places_are_named():
    assert unchanged(SHAPE).head(1, 2) == (Place(block=1, number=2),)
