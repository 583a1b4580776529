"""Models with a frozen compiled part, trained in PyTorch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judges import judge

from handcraft import Program, Prompts, compile_program, load, predict, save, select
from handcraft.errors import ModelError
from handcraft.weights import Sizes

torch = judge("torch")
transformers = judge("transformers")

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 5

MOVED = 0.1
"""The most that a quiet free part moves a number of the compiled part. After five steps it is 0.02 to
0.03, by the processor: AdamW follows the sign of a gradient however small it is."""


def induction(tokens="abc"):
    prompts = Prompts(tokens, context=8)
    token, position = prompts.token, prompts.position
    before = token.at(-1, default="a")
    followed = select(before, token) & select(position, 0, ">")
    return Program(
        prompts=prompts,
        rules=[predict(followed.latest(token, default="a")).otherwise()],
    )


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """An induction head with room for more beside it."""
    compiled = compile_program(induction(), architecture="gpt2", sizes=Sizes(n_embd=48, n_head=3))
    return save(compiled, tmp_path_factory.mktemp("partial") / "wide")


def partly(folder, **options):
    import handcraft.torch

    return handcraft.torch.load(folder, **options)


def train(partial, steps=STEPS):
    """Some steps of AdamW with a strong weight decay, on random texts."""
    optimizer = torch.optim.AdamW(partial.module.parameters(), lr=0.01, weight_decay=0.5)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        ids = torch.randint(0, 3, (8, 8), generator=generator)
        optimizer.zero_grad()
        partial.module(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()


def texts(count=64, length=8):
    return np.random.default_rng(0).integers(0, 3, size=(count, length))


def test_the_compiled_part_answers_before_training(wide):
    partial, compiled = partly(wide), load(wide)
    answers = partial.module(torch.from_numpy(texts())).logits.argmax(-1).numpy()
    np.testing.assert_array_equal(answers, compiled.forward(texts()).argmax(-1))


def test_numpy_and_torch_run_the_same_partial_model(wide):
    partial = partly(wide, blocks=1)
    train(partial)
    wanted = partial.module(torch.from_numpy(texts())).logits.detach().numpy()
    found = partial.model.forward(texts())
    assert np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()  # LayerNorm enlarges rounding


@pytest.mark.parametrize("isolated", [True, False])
def test_training_changes_no_frozen_number_and_every_free_matrix(wide, isolated):
    partial = partly(wide, isolated=isolated)
    train(partial)
    masks, trained = partial.part.masks(isolated=isolated), partial.model.tensors
    for name, start in partial.start.tensors.items():
        frozen = masks[name]
        assert trained[name][frozen].tobytes() == start[frozen].tobytes(), name
        assert frozen.all() or (trained[name] != start)[~frozen].any(), name


def test_weight_decay_would_change_weights_that_only_lack_a_gradient(wide):
    """What `Frozen` is for: the optimizer is strong enough to spoil the model otherwise."""
    partial = partly(wide)
    frozen = torch.from_numpy(partial.part.masks()["h.0.attn.c_attn.weight"])
    plain = transformers.AutoModelForCausalLM.from_pretrained(wide)
    matrix = plain.transformer.h[0].attn.c_attn.weight
    matrix.register_hook(lambda gradient: gradient * ~frozen)
    start = matrix.detach().clone()
    train(replace(partial, module=plain))
    assert (matrix != start)[frozen].any()


def test_an_isolated_part_finds_its_dimensions_as_they_were(wide):
    partial, compiled = partly(wide, blocks=1), load(wide)
    train(partial)
    used, kept = partial.part.dimensions, {}
    for model in (compiled, partial.model):
        model.watch(texts(), lambda name, value: kept.setdefault(name, []).append(value))
    for name in ("embedding", "h.0.output", "h.1.output"):
        one, other = kept[name]
        np.testing.assert_allclose(other[..., used], one[..., used], rtol=0, atol=MOVED)


def test_a_loud_free_part_moves_what_the_compiled_part_reads(wide):
    """What `quiet` is for."""
    partial, compiled = partly(wide, quiet=1), load(wide)
    train(partial)
    kept = {}
    for model in (compiled, partial.model):
        model.watch(texts(), lambda name, value: kept.setdefault(name, []).append(value))
    one, other = kept["h.1.output"]
    assert np.abs(other - one)[..., partial.part.dimensions].max() > 10 * MOVED


def test_free_dimensions_begin_with_a_root_mean_square_of_one(wide):
    partial = partly(wide)
    seen = {}
    partial.model.watch(texts(), seen.__setitem__)
    free = ~partial.part.dimensions
    for name in ("h.0.ln_1", "h.0.ln_2", "h.1.ln_1", "h.1.ln_2"):
        assert np.sqrt((seen[name][..., free] ** 2).mean()) == pytest.approx(1, abs=0.3)


def test_a_quiet_compiled_part_leads_by_the_margin_that_is_asked_for(wide):
    partial = partly(wide, logit_margin=2.0, std=1e-9)
    ordered = np.sort(partial.model.forward(texts())[..., :3], axis=-1)
    assert (ordered[..., -1] - ordered[..., -2]).min() == pytest.approx(2, abs=0.01)
    train(partial)
    gains = "ln_f.weight"
    used = partial.part.dimensions & (load(wide).tensors[gains] != 0)
    assert (partial.model.tensors[gains] != partial.start.tensors[gains])[used].all()


def test_a_trained_model_is_saved_as_a_plain_hugging_face_folder(wide, tmp_path):
    partial = partly(wide, blocks=1)
    train(partial)
    folder = partial.save(tmp_path / "trained")
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.from_numpy(texts())
    wanted = partial.module.eval()(ids).logits
    torch.testing.assert_close(plain(ids).logits, wanted, rtol=1e-5, atol=1e-4)
    assert load(folder).shape.n_layer == 3
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer("abc")["input_ids"] == [0, 1, 2]


def test_the_same_seed_gives_the_same_model(wide):
    one, same, other = (partly(wide, seed=seed).start.tensors["wte.weight"] for seed in (0, 0, 1))
    assert one.tobytes() == same.tobytes() != other.tobytes()


def repeated(count=64):
    """Texts of which the second half is the first: an induction head predicts it."""
    half = np.random.default_rng(2).integers(0, 3, size=(count, 4))
    return np.hstack([half, half])


def test_the_edges_of_an_untrained_induction_head_matter(wide):
    from handcraft.torch import still_used

    found = still_used(partly(wide, logit_margin=2.0), repeated())
    assert {"a0.h0->m0", "a1.h0->m1", "m1->logits", "input->a1.h0<q>"} <= {u.edge for u in found.uses}
    assert (found.before, found.routed_around) == (found.after, ())
    assert all(use.before == use.after for use in found.uses)


def test_a_part_that_is_made_silent_is_found_to_be_routed_around(wide):
    from handcraft.torch import still_used

    partial = partly(wide, logit_margin=2.0)
    gains = partial.module.transformer.ln_f.parametrizations.weight.original
    with torch.no_grad():
        gains[torch.from_numpy(partial.part.dimensions)] = 0
    found = still_used(partial, repeated())
    beside = "input->logits"  # the free part predicts from the token as well
    assert {*found.routed_around, beside} == {*(use.edge for use in found.uses), beside}
    assert str(found).count("routed around") == len(found.routed_around) > 5


def test_mean_loss_is_that_of_torch(wide):
    from handcraft.torch.still_used import mean_loss

    partial, ids = partly(wide, logit_margin=1.0), torch.from_numpy(texts())
    wanted = partial.module(input_ids=ids, labels=ids).loss.item()
    assert mean_loss(partial.start.forward(texts()), texts()) == pytest.approx(wanted, rel=1e-3)


def test_one_text_alone_is_refused(wide):
    from handcraft.torch import still_used

    with pytest.raises(ModelError, match="cannot be patched"):
        still_used(partly(wide), texts(count=1))


@pytest.mark.parametrize(
    ("architecture", "options", "what"),
    [
        ("block", {}, "block is no GPT-2"),
        ("gpt2", {}, "so nothing is free"),
    ],
)
def test_a_model_without_a_free_part_is_refused(tmp_path, architecture, options, what):
    folder = save(
        compile_program(induction(), architecture=architecture, **options), tmp_path / "model"
    )
    with pytest.raises(ModelError, match=what) as refused:
        partly(folder)
    assert refused.value.fix


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"blocks": -1}, "blocks=-1 cannot be added"),
        ({"logit_margin": 0.0}, "lead by logit_margin=0.0"),
        ({"logit_margin": float("nan")}, "lead by logit_margin=nan"),
    ],
)
def test_an_argument_out_of_range_is_refused(wide, options, what):
    from handcraft.torch import load

    with pytest.raises(ModelError, match=what) as refused:
        load(wide, **options)
    assert refused.value.fix


def test_the_fix_for_a_model_without_a_free_part_works(tmp_path):
    folder = save(compile_program(induction(), architecture="gpt2"), tmp_path / "narrow")
    with pytest.raises(ModelError) as refused:
        partly(folder)
    width = int(refused.value.fix.rpartition("n_embd=")[2])
    wide = save(
        compile_program(induction(), architecture="gpt2", sizes=Sizes(n_embd=width)), tmp_path / "wide"
    )
    assert not partly(wide).part.dimensions.all()


def test_no_compiling_is_advised_for_a_model_that_nobody_compiled(tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    from handcraft.disguise import Rotate, disguise

    sizes = {"vocab_size": 7, "n_positions": 6, "n_embd": 8, "n_head": 2, "n_layer": 1}
    trained = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))
    trained.save_pretrained(tmp_path / "foreign")
    disguise(compile_program(induction()), [Rotate()], untie=True).save(tmp_path / "hidden")
    fixes = {"foreign": "a model from elsewhere cannot be widened", "hidden": "load its original"}
    for name, fix in fixes.items():
        with pytest.raises(ModelError, match="so nothing is free") as refused:
            partly(tmp_path / name)
        assert fix in refused.value.fix
