"""A small good GPT-2 folder, and ways to spoil it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from safetensors.numpy import save_file

from handcraft.architecture import GPT2
from handcraft.model import Shape

SHAPE = Shape(n_vocab=4, n_positions=6, n_embd=8, n_head=2, n_inner=(32, 32))
CONFIG = {
    "model_type": "gpt2",
    "vocab_size": 4,
    "n_positions": 6,
    "n_embd": 8,
    "n_head": 2,
    "n_layer": 2,
}
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def random_tensors(*, prefix="transformer.", tied=True, dtype="float32"):
    random = np.random.default_rng(0)
    shapes = SHAPE.tensors(replace(GPT2, tied=tied))
    return {
        ("" if name.startswith("lm_head") else prefix) + name: random.normal(size=sizes).astype(dtype)
        for name, sizes in shapes.items()
    }


def good_gpt2(place):
    """A good GPT-2 in a folder of its own; beside it lies what nobody must read."""
    folder = place / "gpt2"
    folder.mkdir()
    (place / "secret.safetensors").write_bytes(b"secret")
    (place / "secret.json").write_text(json.dumps(CONFIG))
    write_config(folder)
    save_file(random_tensors(), folder / WEIGHTS)
    return folder


def write_config(folder, **facts):
    (folder / "config.json").write_text(json.dumps({**CONFIG, **facts}))


def without(*names):
    return {name: fact for name, fact in CONFIG.items() if name not in names}


def write_tensors(folder, **changes):
    """The good tensors, some replaced, or left out where the change is None."""
    tensors = {**random_tensors(), **{name.replace("__", "."): t for name, t in changes.items()}}
    save_file({name: t for name, t in tensors.items() if t is not None}, folder / WEIGHTS)


def write_shards(folder, shards=None, weight_map=None):
    """Two shards and their index instead of one file."""
    (folder / WEIGHTS).unlink()
    tensors = random_tensors()
    names = sorted(tensors)
    halves = {FIRST: names[:10], SECOND: names[10:]} if shards is None else shards
    for shard, held in halves.items():
        save_file({name: tensors[name] for name in held}, folder / shard)
    if weight_map is None:
        weight_map = {name: FIRST if name in names[:10] else SECOND for name in names}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def write_header(folder, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    (folder / WEIGHTS).write_bytes(size.to_bytes(8, "little") + text + data)


def tensor(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write_tokenizer(folder, vocab, splitter=None, **more):
    splitter = splitter or {"type": "WhitespaceSplit"}
    record = {"model": {"type": "WordLevel", "vocab": vocab}, "pre_tokenizer": splitter, **more}
    (folder / "tokenizer.json").write_text(json.dumps(record))


PAD = {"id": 3, "content": "<pad>", "special": True}

CHARACTERS = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False}


def link(folder, name, target):
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target)


def with_nan(value=np.nan):
    weight = np.zeros((8, 32), np.float32)
    weight[3, 2] = value
    return weight


# Ways to spoil a folder, to be put in tables.


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


def config(**facts):
    return lambda folder: write_config(folder, **facts)


def tensors(**changes):
    return lambda folder: write_tensors(folder, **changes)


def header(*args, **more):
    return lambda folder: write_header(folder, *args, **more)


def shards(*args, **more):
    return lambda folder: write_shards(folder, *args, **more)


def tokenizer(*args, **more):
    return lambda folder: write_tokenizer(folder, *args, **more)


def deep(opening):
    return opening * 200_000
