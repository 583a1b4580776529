"""Bad Hugging Face folders, and what is said of each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from handcraft.errors import CheckpointError, SeveralErrors
from handcraft.formats.huggingface.read_repository import read_huggingface

from .gpt2_folder import (
    CONFIG,
    FIRST,
    INDEX,
    PAD,
    SECOND,
    WEIGHTS,
    config,
    deep,
    good_gpt2,
    header,
    link,
    random_tensors,
    shards,
    tensor,
    tensors,
    text,
    tokenizer,
    with_nan,
    write_config,
    write_shards,
)


@pytest.fixture
def folder(tmp_path):
    return good_gpt2(tmp_path)


BAD_CONFIGS = {
    "missing": (lambda folder: (folder / "config.json").unlink(), "the folder has no config.json"),
    "empty": (text("config.json", ""), "config.json cannot be read"),
    "no JSON": (text("config.json", "import os"), "config.json cannot be read"),
    "no object": (
        text("config.json", "[1]"),
        "config.json cannot be read: it contains [1], not a JSON object",
    ),
    "no text": (lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe"), "cannot be read"),
    "very deep": (text("config.json", deep('{"a":')), "config.json cannot be read"),
    "very deep lists": (text("config.json", '{"a":' + deep("[")), "config.json cannot be read"),
    "a fact twice": (text("config.json", '{"n_embd": 8, "n_embd": 4}'), "it names 'n_embd' twice"),
    "NaN": (text("config.json", '{"layer_norm_epsilon": NaN}'), "it contains NaN, which is not JSON"),
    "very many digits": (text("config.json", '{"n_embd": ' + "9" * 5000 + "}"), "cannot be read"),
    "a directory": (
        lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()),
        "config.json is not a regular file",
    ),
    "another architecture": (config(model_type="bert"), "of a model of type 'bert'"),
    "no architecture": (config(model_type=None), "of a model of type None"),
    "another activation": (config(activation_function="silu"), "activation_function is 'silu'"),
    "no activation": (config(activation_function=None), "activation_function is None"),
    "an unhashable activation": (
        config(activation_function=["relu"]),
        "activation_function is ['relu']",
    ),
    "cross-attention": (config(add_cross_attention=True), "add_cross_attention is true"),
    "a size with a point": (config(n_embd=8.0), "n_embd is 8.0"),
    "a size as text": (config(n_embd="8"), "n_embd is '8'"),
    "a size that is true": (config(n_head=True), "n_head is True"),
    "a size of null": (config(vocab_size=None), "vocab_size is None"),
    "a size of 0": (config(n_head=0), "n_head is 0"),
    "a negative size": (config(n_layer=-1), "n_layer is -1"),
    "an MLP without neurons": (config(n_inner=0), "n_inner is 0"),
    "an incredible size": (
        config(n_positions=10**30),
        "n_positions is 1000000000000000000000000000000",
    ),
    "another name that disagrees": (config(hidden_size=16), "n_embd is 8, and hidden_size 16"),
    "heads that do not fit": (config(n_head=3), "n_embd=8 dimensions do not make n_head=3 equal heads"),
    "a flag that is text": (config(scale_attn_weights="no"), "scale_attn_weights is 'no'"),
    "a flag that is 0": (config(tie_word_embeddings=0), "tie_word_embeddings is 0"),
    "an epsilon that is text": (config(layer_norm_epsilon="1e-5"), "layer_norm_epsilon is '1e-5'"),
    "a negative epsilon": (config(layer_norm_epsilon=-1e-5), "layer_norm_epsilon is -1e-05"),
    "an endless epsilon": (
        text("config.json", json.dumps(CONFIG)[:-1] + ', "layer_norm_epsilon": 1e999}'),
        "layer_norm_epsilon is inf",
    ),
}

LIES = {
    "vocab_size": (
        config(vocab_size=5),
        "transformer.wte.weight is [4, 8], but by config.json it should be [5, 8]",
    ),
    "n_positions": (
        config(n_positions=7),
        "transformer.wpe.weight is [6, 8], but by config.json it should be [7, 8]",
    ),
    "n_embd": (
        config(n_embd=12),
        "wte.weight is [4, 8], but by config.json it should be [4, 12]; 27 more differ",
    ),
    "n_inner": (
        config(n_inner=31),
        "mlp.c_fc.weight is [8, 32], but by config.json it should be [8, 31]; 5 more",
    ),
    "fewer blocks": (config(n_layer=1), "n_layer is 1, and the files have tensors of 2 blocks"),
    "more blocks": (config(n_layer=3), "n_layer is 3, and the files have tensors of 2 blocks"),
    "very many blocks": (config(n_layer=2**31 - 1), "n_layer is 2147483647, and the files have"),
    "a very large vocabulary": (config(vocab_size=2**31 - 1), "it should be [2147483647, 8]"),
    "GPT2Config's own sizes": (text("config.json", '{"model_type": "gpt2"}'), "n_layer is 12"),
    "an untied head": (config(tie_word_embeddings=False), "the files lack lm_head.weight"),
    "a tied head": (
        tensors(lm_head__weight=np.ones((4, 8), np.float32)),
        "lm_head.weight differs from wte.weight, and config.json says that they are one tensor",
    ),
    "the shape of the head": (
        tensors(lm_head__weight=np.ones((3, 8), np.float32)),
        "lm_head.weight is [3, 8], but by config.json it should be [4, 8]",
    ),
}

BAD_TENSORS = {
    "a missing one": (tensors(transformer__ln_f__bias=None), "the files lack ln_f.bias"),
    "five missing": (
        tensors(**{f"transformer__h__{i}__ln_{j}__bias": None for i in (0, 1) for j in (1, 2)}),
        "the files lack h.0.ln_1.bias h.0.ln_2.bias h.1.ln_1.bias and 1 more",
    ),
    "a foreign one": (
        tensors(score__weight=np.ones((2, 8), np.float32)),
        "the files have 'score.weight', unknown to GPT-2",
    ),
    "cross-attention": (
        tensors(transformer__h__0__ln_cross_attn__bias=np.ones(8, np.float32)),
        "the files have 'transformer.h.0.ln_cross_attn.bias'",
    ),
    "a renamed one": (
        tensors(transformer__ln_f__bias=None, transformer__ln_g__bias=np.ones(8, np.float32)),
        "the files lack ln_f.bias, and the files have 'transformer.ln_g.bias'",
    ),
    "a prefix where there is none": (
        tensors(transformer__lm_head__weight=np.ones((4, 8), np.float32)),
        "the files have 'transformer.lm_head.weight'",
    ),
    "two names for one": (
        tensors(ln_f__bias=np.ones(8, np.float32)),
        "two names of one tensor",
    ),
    "a transposed one": (
        tensors(transformer__h__1__attn__c_attn__weight=np.ones((24, 8), np.float32)),
        "transformer.h.1.attn.c_attn.weight is [24, 8], but by config.json it should be [8, 24]",
    ),
    "a flat one": (
        tensors(transformer__wpe__weight=np.ones(48, np.float32)),
        "transformer.wpe.weight is [48], but by config.json it should be [6, 8]",
    ),
    "integers": (tensors(transformer__ln_f__bias=np.ones(8, np.int32)), "ln_f.bias is of type 'I32'"),
    "NaN": (
        tensors(transformer__h__0__mlp__c_fc__weight=with_nan()),
        "'transformer.h.0.mlp.c_fc.weight' has nan at [3, 2]",
    ),
    "infinity": (
        tensors(transformer__h__0__mlp__c_fc__weight=with_nan(-np.inf)),
        "'transformer.h.0.mlp.c_fc.weight' has -inf at [3, 2]",
    ),
    "NaN in half precision": (
        tensors(transformer__h__0__mlp__c_fc__weight=with_nan().astype(np.float16)),
        "has nan at [3, 2]",
    ),
}

BAD_HEADERS = {
    "an empty file": (text(WEIGHTS, ""), "its header should be 0 bytes long, and the file has 0"),
    "a short file": (text(WEIGHTS, "abc"), "and the file has 3"),
    "a Git LFS pointer": (text(WEIGHTS, "version https://git-lfs.github.com/spec/v1\n"), "bytes long"),
    "longer than the file": (
        header({}, length=1000),
        "its header should be 1000 bytes long, and the file",
    ),
    "longer than any file": (header({}, length=2**64 - 1), "should be 18446744073709551615 bytes long"),
    "no JSON": (header(b"#!/bin/sh"), "model.safetensors cannot be read"),
    "no object": (header([1, 2]), "not a JSON object"),
    "no text": (header(b"\xff\xff"), "model.safetensors cannot be read"),
    "very deep": (header(b'{"a":' * 200_000), "model.safetensors cannot be read"),
    "a tensor twice": (header(b'{"a": {}, "a": {}}'), "it names 'a' twice"),
    "a type twice": (header(b'{"a": {"dtype": "F32", "dtype": "F16"}}'), "it names 'dtype' twice"),
    "a tensor that is a number": (header({"wte.weight": 3}), "describes 'wte.weight' as 3"),
    "a type that is a number": (header({"a": tensor([1], 0, 4, dtype=3)}, b"1234"), "describes 'a' as"),
    "places that are text": (header({"a": tensor([1], "0", "4")}, b"1234"), "describes 'a' as"),
    "a shape with a point": (header({"a": tensor([1.0], 0, 4)}, b"1234"), "gives 'a' the shape [1.0]"),
    "a negative shape": (
        header({"a": tensor([-1, -1], 0, 4)}, b"1234"),
        "gives 'a' the shape [-1, -1]",
    ),
    "very many axes": (header({"a": tensor([1] * 1000, 0, 4)}, b"1234"), "gives 'a' the shape"),
    "an incredible shape": (header({"a": tensor([2**80], 0, 4)}, b"1234"), "gives 'a' the shape"),
    "a shape larger than its bytes": (
        header({"a": tensor([2**40, 2**20], 0, 4)}, b"1234"),
        "'a' of shape [1099511627776, 1048576] and type F32 takes 4611686018427387904 bytes, "
        "and the header gives it 4",
    ),
    "bytes behind the end": (header({"a": tensor([2], 0, 8)}, b"1234"), "at bytes 0 to 8 of 4"),
    "bytes backwards": (header({"a": tensor([0], 4, 0)}, b"1234"), "at bytes 4 to 0 of 4"),
    "bytes before the beginning": (header({"a": tensor([1], -4, 0)}, b"1234"), "at bytes -4 to 0 of 4"),
    "bytes shared by two": (
        header({"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)}, b"1234"),
        "'b' begins at byte",
    ),
    "bytes of none": (header({"a": tensor([1], 4, 8)}, b"12345678"), "'a' begins at byte"),
    "bytes left over": (
        header({"a": tensor([1], 0, 4)}, b"12345678"),
        "its tensors should end at byte",
    ),
}

BAD_SHARDS = {
    "one missing": (
        lambda folder: (write_shards(folder), (folder / SECOND).unlink()),
        f"the shard {SECOND} is missing, and 18 tensors with it",
    ),
    "an index of nothing": (shards(weight_map={}), "has no weight_map, or an empty one"),
    "an index without a map": (shards(weight_map=[1]), "has no weight_map, or an empty one"),
    "a name that climbs": (
        shards(weight_map={"wte.weight": "../secret.safetensors"}),
        "has 'wte.weight' in '../secret.safetensors', which is not a file name of a shard",
    ),
    "an absolute name": (shards(weight_map={"a": "/etc/x.safetensors"}), "not a file name of a shard"),
    "a name with backslashes": (
        shards(weight_map={"a": "..\\x.safetensors"}),
        "not a file name of a shard",
    ),
    "a name with a NUL": (shards(weight_map={"a": "\0.safetensors"}), "not a file name of a shard"),
    "a name that is too long": (
        shards(weight_map={"a": "x" * 300 + ".safetensors"}),
        "not a file name of a shard",
    ),
    "a pickle as a shard": (
        shards(weight_map={"a": "pytorch_model.bin"}),
        "not a file name of a shard",
    ),
    "a number as a shard": (shards(weight_map={"a": 1}), "has 'a' in 1, which is not a file name"),
    "a tensor that is not in its shard": (
        shards(weight_map={"ghost": FIRST, **dict.fromkeys(sorted(random_tensors())[:10], FIRST)}),
        f"{FIRST} lacks 'ghost', contrary to {INDEX}",
    ),
    "a tensor that is in another shard too": (
        shards(shards={FIRST: sorted(random_tensors())[:11], SECOND: sorted(random_tensors())[10:]}),
        f"{FIRST} also has",
    ),
    "an index that is no JSON": (
        lambda folder: (write_shards(folder), (folder / INDEX).write_text("{")),
        f"{INDEX} cannot be read",
    ),
}

BAD_TOKENIZERS = {
    "no JSON": (text("tokenizer.json", "{"), "tokenizer.json cannot be read"),
    "no object": (text("tokenizer.json", "3"), "tokenizer.json cannot be read"),
    "very deep": (text("tokenizer.json", deep('{"model":')), "tokenizer.json cannot be read"),
    "a token twice": (
        text("tokenizer.json", '{"model": {"vocab": {"a": 0, "a": 1}}}'),
        "it names 'a' twice",
    ),
    "a vocabulary that is a list": (tokenizer(["a", "b"]), "vocab is not an object"),
    "an id twice": (tokenizer({"a": 0, "b": 0}), "'a' and 'b' both have the id 0"),
    "an id outside": (tokenizer({"a": 4}), "'a' has the id 4, and vocab_size is 4"),
    "a negative id": (tokenizer({"a": -1}), "'a' has the id -1"),
    "an id that is text": (tokenizer({"a": "0"}), "'a' has the id '0'"),
    "an id that is true": (tokenizer({"a": True}), "'a' has the id True"),
    "an id that is a list": (tokenizer({"a": [0]}), "'a' has the id [0]"),
    "half a character": (tokenizer({"\ud800": 0}), "tokenizer.json is invalid"),
    "added tokens that are text": (tokenizer({"a": 0}, added_tokens="x"), "added_tokens is not a list"),
    "an added token that is text": (tokenizer({"a": 0}, added_tokens=["x"]), "an added token is 'x'"),
    "an added token without id": (
        tokenizer({"a": 0}, added_tokens=[{"content": "x"}]),
        "an added token is {'content': 'x'}",
    ),
    "an added token with another id": (
        tokenizer({"<pad>": 0}, added_tokens=[PAD]),
        "'<pad>' has two ids, 0 and 3",
    ),
}

BAD_LINKS = {
    "weights": (lambda folder: link(folder, WEIGHTS, "../secret.safetensors"), WEIGHTS),
    "config": (lambda folder: link(folder, "config.json", "../secret.json"), "config.json"),
    "config, absolute": (
        lambda folder: link(folder, "config.json", folder.parent / "secret.json"),
        "config.json",
    ),
    "tokenizer": (lambda folder: link(folder, "tokenizer.json", "/etc/passwd"), "tokenizer.json"),
    "a shard": (
        lambda folder: (write_shards(folder), link(folder, SECOND, "../secret.safetensors")),
        SECOND,
    ),
    "the index": (
        lambda folder: ((folder / WEIGHTS).unlink(), link(folder, INDEX, "../secret.json")),
        INDEX,
    ),
    "to nothing": (lambda folder: link(folder, WEIGHTS, "../nothing"), WEIGHTS),
    "through a folder": (
        lambda folder: (
            (folder / "sub").symlink_to(folder.parent),
            link(folder, WEIGHTS, "sub/secret.safetensors"),
        ),
        WEIGHTS,
    ),
}

BAD = {
    f"{title}: {name}": case
    for title, cases in {
        "config": BAD_CONFIGS,
        "lie": LIES,
        "tensors": BAD_TENSORS,
        "header": BAD_HEADERS,
        "shards": BAD_SHARDS,
        "tokenizer": BAD_TOKENIZERS,
        "link": {
            name: (spoil, f"{file} is a link that leaves the folder")
            for name, (spoil, file) in BAD_LINKS.items()
        },
    }.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize(("spoil", "message"), BAD.values(), ids=BAD)
def test_a_bad_folder_is_refused_in_three_parts(folder, spoil, message):
    read_huggingface(folder)
    spoil(folder)
    with pytest.raises(CheckpointError) as caught:
        read_huggingface(folder)
    assert message in caught.value.what
    assert str(folder) in caught.value.where
    assert caught.value.fix


def test_all_that_is_wrong_with_a_config_is_said_at_once(folder):
    write_config(folder, n_embd=8.5, activation_function="swish", scale_attn_weights=None)
    with pytest.raises(SeveralErrors) as caught:
        read_huggingface(folder)
    said = [problem.what for problem in caught.value.problems]
    assert said == [
        "n_embd is 8.5",
        "activation_function is 'swish'",
        "scale_attn_weights is None",
    ]


def test_a_folder_that_is_none_is_refused(folder):
    for place in (folder / "nowhere", folder / "config.json"):
        with pytest.raises(CheckpointError, match=r"no folder|not a folder"):
            read_huggingface(place)
