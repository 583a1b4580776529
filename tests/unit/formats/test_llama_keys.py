"""Every key of a Llama's files, with another value, of another type or left out: no judge passes it."""

from __future__ import annotations

import json
import shutil

import pytest
from gallery import facts

from handcraft import compile_program, load, save
from handcraft.architecture import llama
from handcraft.errors import HandcraftError
from handcraft.formats.checkpoint import read_checkpoint
from handcraft.formats.huggingface.config_keys import CONFIG_KEYS, KEYS
from handcraft.formats.huggingface.disagreements import disagreements
from handcraft.weights import Sizes
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.prove import prove

from .mutated_keys import is_named, mutations

FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")

KINDS = {
    "llama": (llama(tied=False), Sizes(n_head=4, n_kv_head=2)),
    "mistral": (llama(theta=500.0, window=3), Sizes()),
}

LEGAL = {
    "rope_theta": [500, 10_000, 10_001.0, 1, 0, -1, "10000", True, [1e4]],
    "rope_parameters": [None, {}, {"rope_type": "linear", "factor": 2.0}, "default", 5],
    "rope_type": ["llama3", "linear", "dynamic", "yarn", 1],
    "rms_norm_eps": [1e-5, 1e-6, 1, 0, -1e-6, "1e-6", True],
    "head_dim": [2, 4, 8, 3, 0, 2.0, "2"],
    "num_key_value_heads": [1, 2, 4, 8, 3, 0, 2.0, "2", True],
    "num_attention_heads": [1, 2, 4, 8, 0, "4"],
    "hidden_act": ["swish", "gelu", "gelu_pytorch_tanh", 1],
    "attention_bias": [None, 0, "false"],
    "mlp_bias": [None, 0, "false"],
    "tie_word_embeddings": [None, 0, "true"],
    "sliding_window": [1, 2, 4, 4096, 0, -1, 3.0, "3", True],
    "hidden_size": [4, 16],
    "intermediate_size": [1, 4],
    "max_position_embeddings": [1, 1024, 2048, 1e3],
    "vocab_size": [2, 3, 32_000],
    "bos_token_id": [0, 1, [2], "2"],
    "dtype": ["float16", "bfloat16", "float64"],
    "model_type": ["llama", "mistral", "gpt2", "gemma"],
    "architectures": [["GPT2LMHeadModel"], ["LlamaForCausalLM"], "LlamaForCausalLM", []],
    "pretraining_tp": [2, 0, "1"],
}
"""Values of another key's kind that some reader might take: legal ones, and others."""

ADDED = {
    "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    "partial_rotary_factor": 0.5,
    "quantization_config": {"quant_method": "awq", "bits": 4},
    "layer_types": ["full_attention"],
    "use_sliding_window": True,
    "attention_multiplier": 2.0,
    "logit_scale": 2.0,
    "no_such_key": 1,
}
"""Keys that are not written; of those a Mistral or a Llama lacks, the other's are below."""

ALONE = {"llama": {"sliding_window": 3}, "mistral": {"attention_bias": True, "mlp_bias": True}}


@pytest.fixture(scope="module", params=KINDS)
def written(request, tmp_path_factory):
    architecture, sizes = KINDS[request.param]
    compiled = compile_program(
        facts("aab")["program"], architecture=architecture, sizes=sizes, n_positions=5
    )
    return save(compiled, tmp_path_factory.mktemp("keys") / request.param)


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "out")


def changes(folder, name):
    """Every change of a file: its place, the value, and the whole file."""
    record = json.loads((folder / name).read_text())
    yield from mutations(record, LEGAL if name == "config.json" else None)
    if name == "config.json":
        for key, value in {**ADDED, **ALONE[record["model_type"]]}.items():
            yield (key,), value, record | {key: value}


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


SAME = {
    "hidden_act": ["left out", "swish"],
    "rms_norm_eps": ["left out"],  # 1e-6
    "rope_theta": ["left out", 500, 10_000],  # it is in rope_parameters too
    "rope_parameters": ["left out", None, {}],  # and it is at the top
    "rope_parameters.rope_theta": ["left out", 500, 10_000],
    "rope_parameters.rope_type": ["left out"],
    "attention_bias": ["left out"],
    "mlp_bias": ["left out"],
    "pretraining_tp": ["left out"],
    "tie_word_embeddings": ["left out"],  # false, which the Llama is that has a head of its own
    "head_dim": ["left out", None],  # hidden_size / num_attention_heads, and so in one of the two
    "num_key_value_heads": [None],  # as many as heads
    "dtype": ["left out", None],  # that of the tensors
    "eos_token_id": ["left out"],  # of generation_config.json: null
    "pad_token_id": ["left out"],
    "add_prefix_space": ["left out"],
}
"""What means the same, where it is written so."""

UNREAD = {
    "architectures",  # model_type decides
    "attention_dropout",  # in training only
    "eos_token_id",
    "pad_token_id",
    "use_cache",
}
"""Keys of config.json that change no logit."""

UNREAD_BY_LOAD = UNREAD | {
    "dtype",  # the model is that of the tensors
    "pretraining_tp",  # in how many parts products are computed
    *(ADDED.keys() - {"rope_scaling", "partial_rotary_factor", "quantization_config"}),
}
"""Those that `load` passes over, as the classes of transformers do, with those of the other class."""


def is_same(key, value):
    """Whether a value means what was written."""
    same = SAME.get(".".join(map(str, key)), ())
    return any(type(value) is type(each) and value == each for each in same)


@pytest.mark.parametrize("name", FILES)
def test_verify_names_every_key_that_is_not_as_it_was_written(folder, name):
    checkpoint, kind = read_checkpoint(folder), config_of(folder)["model_type"]
    keys = CONFIG_KEYS[kind] if name == "config.json" else KEYS[name]
    passed = []
    for key, value, whole in [*changes(folder, name)]:
        (folder / name).write_text(json.dumps(whole))
        found, inert = disagreements(checkpoint), keys.inert.get(key[0])
        if inert is not None and (value == "left out" or inert.allows(value)):
            assert found == (), (key, value)
        elif not is_named(found, name, key):
            passed.append((key, value))
    assert [each for each in passed if not is_same(*each)] == []


def left_silent(folder, read, refusal, unread):
    """The changes of config.json after which a reader finds the same model as before."""
    original, path = read(folder), folder / "config.json"
    for key, value, whole in [*changes(folder, "config.json")]:
        path.write_text(json.dumps(whole))
        try:
            is_other = read(folder) != original
        except refusal:
            is_other = True
        if not is_other and key[0] not in unread and not is_same(key, value):
            yield key, value


def test_load_refuses_any_other_config_or_reads_another_model(folder):
    (folder / "handcraft.json").unlink()
    unread = UNREAD_BY_LOAD | ALONE[config_of(folder)["model_type"]].keys()
    assert [*left_silent(folder, load, HandcraftError, unread)] == []


def test_the_checker_refuses_any_other_config_or_reads_another_model(folder):
    """Without hashes, as of a folder whose certificate was written for the other config."""

    def read(place):
        return read_claim(place, rehash=True).model.config

    assert [*left_silent(folder, read, CheckError, UNREAD)] == []


def test_the_checker_proves_no_config_but_the_one_of_the_certificate(folder):
    assert prove(folder).word == "proved"
    for _, _, whole in [*changes(folder, "config.json")][::9]:
        (folder / "config.json").write_text(json.dumps(whole))
        with pytest.raises(CheckError, match="hash differs"):
            prove(folder)
