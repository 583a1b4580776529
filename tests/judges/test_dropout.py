"""Without dropout a GPT-2 answers the same in training mode, to the last bit."""

from __future__ import annotations

import pytest
from judges import judge

torch = judge("torch")
transformers = judge("transformers")

DROPOUTS = ("embd_pdrop", "attn_pdrop", "resid_pdrop")
NO_DROPOUT = dict.fromkeys(DROPOUTS, 0.0)
TINY = {"vocab_size": 11, "n_positions": 16, "n_embd": 12, "n_layer": 2, "n_head": 3}
IMPLEMENTATIONS = ("eager", "sdpa")


def save_random_gpt2(folder, **facts):
    """A folder with a small GPT-2 whose weights are random and large enough to matter."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(**TINY, **facts, bos_token_id=None, eos_token_id=None)
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint that carries no dropout."""
    return save_random_gpt2(tmp_path_factory.mktemp("dropout") / "none", **NO_DROPOUT)


def read(folder, attention):
    return transformers.GPT2LMHeadModel.from_pretrained(folder, attn_implementation=attention)


def prompts(model):
    """Token ids that the model knows: [text, position]."""
    config = model.config
    length = min(12, config.n_positions)
    torch.manual_seed(1)
    return torch.randint(0, config.vocab_size, (4, length))


def logits(model, ids, *, training):
    """The logits in one of the two modes, with the same random numbers at hand."""
    torch.manual_seed(2)
    with torch.no_grad():
        return model.train(training)(ids).logits


@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
def test_a_checkpoint_without_dropout_answers_the_same_in_training_mode(folder, attention):
    model = read(folder, attention)
    ids = prompts(model)
    assert torch.equal(logits(model, ids, training=True), logits(model, ids, training=False))


@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
def test_training_mode_answers_the_same_twice_without_dropout(folder, attention):
    model = read(folder, attention).train()
    ids = prompts(model)
    with torch.no_grad():
        assert torch.equal(model(ids).logits, model(ids).logits)


def test_the_config_carries_0_for_every_dropout(folder):
    config = transformers.GPT2Config.from_pretrained(folder)
    assert {name: getattr(config, name) for name in DROPOUTS} == NO_DROPOUT


def test_a_config_that_does_not_mention_dropout_has_some():
    config = transformers.GPT2Config()
    assert {name: getattr(config, name) for name in DROPOUTS} == dict.fromkeys(DROPOUTS, 0.1)


@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", DROPOUTS)
def test_any_dropout_alone_changes_the_answers(tmp_path, name, attention):
    folder = save_random_gpt2(tmp_path / "some", **{**NO_DROPOUT, name: 0.1})
    model = read(folder, attention)
    ids = prompts(model)
    assert not torch.equal(logits(model, ids, training=True), logits(model, ids, training=False))
