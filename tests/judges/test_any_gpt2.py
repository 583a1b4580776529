"""Every GPT-2 that transformers saves is read here, and answers the same in NumPy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from judges import judge

from handcraft import complete
from handcraft.formats.huggingface.config_json import ALIASES, DEFAULTS
from handcraft.formats.huggingface.config_keys import CONFIG_KEYS
from handcraft.formats.huggingface.read_repository import read_huggingface

torch = judge("torch")
transformers = judge("transformers")
tokenizers = judge("tokenizers")
safetensors_torch = judge("safetensors.torch")

TOLERANCE = 1e-4

SMALL = {"vocab_size": 19, "n_positions": 24, "n_embd": 24, "n_layer": 2, "n_head": 3}

MODELS = {
    "as transformers makes it": {},
    "one block and one head": {"n_layer": 1, "n_head": 1},
    "heads of width 1": {"n_head": 24},
    "heads of width 64": {"n_embd": 128, "n_head": 2},
    "no block": {"n_layer": 0},
    "six blocks": {"n_layer": 6},
    "the width of gpt2-small": {"vocab_size": 500, "n_embd": 768, "n_head": 12, "n_positions": 64},
    "a narrow MLP": {"n_inner": 5},
    "a wide MLP": {"n_inner": 200},
    "gelu": {"activation_function": "gelu"},
    "gelu_pytorch_tanh": {"activation_function": "gelu_pytorch_tanh"},
    "relu": {"activation_function": "relu", "n_inner": 31},
    "scores divided by the layer": {"scale_attn_by_inverse_layer_idx": True, "n_layer": 4},
    "scores not scaled": {"scale_attn_weights": False},
    "scores divided by the layer only": {
        "scale_attn_by_inverse_layer_idx": True,
        "scale_attn_weights": False,
        "n_layer": 3,
    },
    "attention reordered and upcast": {"reorder_and_upcast_attn": True},
    "an untied head": {"tie_word_embeddings": False},
    "a large epsilon": {"layer_norm_epsilon": 0.1},
    "everything at once": {
        "n_layer": 3,
        "n_head": 4,
        "n_inner": 50,
        "activation_function": "gelu",
        "scale_attn_by_inverse_layer_idx": True,
        "tie_word_embeddings": False,
        "layer_norm_epsilon": 1e-3,
    },
}


def random_gpt2(*, attention="eager", kind="GPT2LMHeadModel", **facts):
    """A GPT-2 with random weights, biases and norms, large enough that attention is not uniform."""
    torch.manual_seed(len(facts))
    config = transformers.GPT2Config(
        **{**SMALL, **facts}, bos_token_id=None, eos_token_id=None, attn_implementation=attention
    )
    model = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0, 1.2 / config.n_embd**0.5)
            if ".ln_" in name and name.endswith("weight"):
                parameter += 1
    return model


def random_ids(config, batch=4, positions=None):
    random = np.random.default_rng(positions or 0)
    return random.integers(0, config.vocab_size, (batch, positions or config.n_positions))


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor(ids)).logits.numpy()


def difference(ours, theirs):
    return float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max())


def numbers(text):
    """The ids behind names such as #3 #14."""
    return [int(name.removeprefix("#")) for name in text.split()]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("facts", MODELS.values(), ids=MODELS)
def test_the_logits_are_those_of_transformers(facts, attention, tmp_path):
    if attention == "sdpa" and facts.get("reorder_and_upcast_attn"):
        attention = "eager"  # the only one that reorders
    theirs = random_gpt2(attention=attention, **facts)
    theirs.save_pretrained(tmp_path)
    ids = random_ids(theirs.config)
    expected = logits_of(theirs, ids)
    assert expected.std() > 0.1
    assert difference(read_huggingface(tmp_path).forward(ids), expected) < TOLERANCE


@pytest.mark.parametrize("facts", MODELS.values(), ids=MODELS)
def test_a_cache_that_is_filled_piece_by_piece_changes_nothing(facts, tmp_path):
    theirs = random_gpt2(**facts)
    theirs.save_pretrained(tmp_path)
    ours = read_huggingface(tmp_path)
    ids = random_ids(theirs.config)
    cache = ours.empty_cache(batch=len(ids))
    pieces = np.split(ids, [1, 2, 5, 16], axis=1)
    logits = np.concatenate([ours.forward(piece, cache) for piece in pieces], axis=1)
    assert difference(logits, logits_of(theirs, ids)) < TOLERANCE


@pytest.mark.parametrize("facts", MODELS.values(), ids=MODELS)
def test_greedy_text_is_that_of_transformers(facts, tmp_path):
    theirs = random_gpt2(**facts)
    theirs.save_pretrained(tmp_path)
    ours = read_huggingface(tmp_path)
    prompt = random_ids(theirs.config, 1, 4)
    expected = theirs.generate(
        torch.tensor(prompt),
        attention_mask=torch.ones(prompt.shape, dtype=torch.long),
        max_new_tokens=20,
        do_sample=False,
        pad_token_id=0,
    )
    names = [f"#{number}" for number in prompt[0]]
    assert numbers(complete(ours, names, 20)) == expected[0, 4:].tolist()


def test_text_longer_than_the_context_slides(tmp_path):
    theirs = random_gpt2(n_positions=8)
    theirs.save_pretrained(tmp_path)
    text = random_ids(theirs.config, 1, 5)[0].tolist()
    answer = numbers(complete(read_huggingface(tmp_path), [f"#{number}" for number in text], 20))
    for token in answer:
        assert int(logits_of(theirs, [text[-8:]])[0, -1].argmax()) == token
        text.append(token)


def test_the_published_shape_of_a_block_at_full_length(tmp_path):
    theirs = random_gpt2(n_positions=1024, n_embd=64, n_head=4)
    theirs.save_pretrained(tmp_path)
    ids = random_ids(theirs.config, 1)
    assert difference(read_huggingface(tmp_path).forward(ids), logits_of(theirs, ids)) < TOLERANCE


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_shards_are_read(tied, tmp_path):
    theirs = random_gpt2(tie_word_embeddings=tied)
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    ids = random_ids(theirs.config)
    assert difference(read_huggingface(tmp_path).forward(ids), logits_of(theirs, ids)) < TOLERANCE


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("facts", [{}, {"tie_word_embeddings": False, "activation_function": "gelu"}])
def test_every_type_of_weight_is_kept_and_answers_as_in_transformers(dtype, facts, tmp_path):
    random_gpt2(**facts).to(getattr(torch, dtype)).save_pretrained(tmp_path)
    ours = read_huggingface(tmp_path)
    assert {tensor.dtype.name for tensor in ours.tensors.values()} == {dtype}
    running = torch.float64 if dtype == "float64" else torch.float32
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path, dtype=running).eval()
    ids = random_ids(theirs.config)
    assert difference(ours.forward(ids), logits_of(theirs, ids)) < TOLERANCE


def test_mixed_types_are_widened_without_losing_a_bit(tmp_path):
    theirs = random_gpt2()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            half = torch.bfloat16 if ".mlp." in name else torch.float16
            parameter.copy_(parameter.to(half))
    theirs.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = {
        name: tensor.to(torch.bfloat16 if ".mlp." in name else torch.float16)
        for name, tensor in safetensors_torch.load_file(file).items()
    }
    safetensors_torch.save_file(tensors, file, metadata={"format": "pt"})
    ours = read_huggingface(tmp_path)
    assert ours.dtype == np.float32
    for name, tensor in ours.tensors.items():
        assert np.array_equal(tensor, tensors[f"transformer.{name}"].float().numpy())


def test_a_base_model_without_the_prefix_is_read(tmp_path):
    random_gpt2(kind="GPT2Model").save_pretrained(tmp_path)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    ids = random_ids(theirs.config)
    assert difference(read_huggingface(tmp_path).forward(ids), logits_of(theirs, ids)) < TOLERANCE


def test_an_old_file_with_masks_and_a_copy_of_the_embedding_is_read(tmp_path):
    theirs = random_gpt2()
    theirs.save_pretrained(tmp_path)
    tensors = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    assert "lm_head.weight" in tensors
    for layer in range(theirs.config.n_layer):
        mask = torch.ones(24, 24).tril().view(1, 1, 24, 24)
        tensors[f"transformer.h.{layer}.attn.bias"] = mask.to(torch.uint8)
        tensors[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    safetensors_torch.save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ids = random_ids(theirs.config)
    ours = read_huggingface(tmp_path)
    assert difference(ours.forward(ids), logits_of(theirs, ids)) < TOLERANCE
    assert ours.parameters == theirs.num_parameters()


def test_what_config_json_leaves_out_is_as_in_transformers():
    config = transformers.GPT2Config()
    absent = CONFIG_KEYS["gpt2"].absent
    assert absent.keys() > DEFAULTS.keys()
    assert {name: getattr(config, name) for name in absent} == absent
    assert {name: config.attribute_map[other] for name, other in ALIASES.items()} == {
        name: name for name in ALIASES
    }


def test_sizes_by_their_other_names_are_read(tmp_path):
    theirs = random_gpt2()
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    renamed = {ALIASES.get(name, name): value for name, value in config.items()}
    (tmp_path / "config.json").write_text(json.dumps(renamed))
    ids = random_ids(theirs.config)
    assert difference(read_huggingface(tmp_path).forward(ids), logits_of(theirs, ids)) < TOLERANCE
    again = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    assert difference(logits_of(again, ids), logits_of(theirs, ids)) < TOLERANCE


def make_tokenizer(tokens, splitter):
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = splitter
    return tokenizer


CHARACTERS = list("abcdefghijklmnopqr s")
WORDS = [f"w{i}" for i in range(18)] + ["a-b"]


@pytest.mark.parametrize("case", ["characters", "words", "words and signs"])
def test_text_gives_the_ids_that_the_tokenizer_gives(case, tmp_path):
    split = tokenizers.pre_tokenizers
    tokens, splitter, text = {
        "characters": (
            CHARACTERS[:19],
            split.Split(tokenizers.Regex(r"[\s\S]"), "isolated"),
            "abc bad r",
        ),
        "words": (WORDS, split.WhitespaceSplit(), "w1 w17\na-b  w0"),
        "words and signs": ([*WORDS[:18], "-+"], split.Whitespace(), "w1 w17 -+ w0"),
    }[case]
    tokenizer = make_tokenizer(tokens, splitter)
    random_gpt2().save_pretrained(tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = read_huggingface(tmp_path)
    assert ours.vocabulary.tokens == tuple(tokens)
    assert list(ours.prompt_ids(text)) == tokenizer.encode(text).ids


def test_a_byte_pair_tokenizer_leaves_the_ids_as_names(tmp_path):
    random_gpt2().save_pretrained(tmp_path)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert read_huggingface(tmp_path).vocabulary.tokens == tuple(f"#{i}" for i in range(19))


def test_a_tokenizer_that_adds_tokens_of_its_own_leaves_the_ids_as_names(tmp_path):
    random_gpt2().save_pretrained(tmp_path)
    tokenizer = make_tokenizer(WORDS, tokenizers.pre_tokenizers.WhitespaceSplit())
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="w0 $A", special_tokens=[("w0", 0)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert read_huggingface(tmp_path).vocabulary.tokens[0] == "#0"
