"""Where `verify` passes a folder whose files were edited, transformers gives the program's answers."""

from __future__ import annotations

import json
import shutil
import warnings
from copy import deepcopy
from itertools import product
from random import Random

import numpy as np
import pytest
from judges import judge
from sweeps import sweep

from handcraft import Program, compile_program, predict, save
from handcraft.formats import disagreements, load, read_checkpoint, verify_folder
from handcraft.model import as_rounded

torch = judge("torch")
transformers = judge("transformers")
safetensors, torch_files = judge("safetensors"), judge("safetensors.torch")

pytestmark = pytest.mark.usefixtures("one_thread")

PROGRAM = Program("ab", 4, [predict("b").after("baa"), predict("a").otherwise()])

TEXTS = ["".join(text) for length in (1, 2, 3) for text in product("ab", repeat=length)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    compiled = compile_program(PROGRAM, n_positions=16, positions="one-hot")
    return save(compiled, tmp_path_factory.mktemp("verdict") / "out")


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "out")


def meant(text, count):
    for _ in range(count):
        text += PROGRAM.meaning(text)
    return text


def generated(folder):
    """What transformers writes after every text, all in one batch, knowing nothing of handcraft."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        batch = tokenizer(TEXTS, return_tensors="pt", padding=True, return_token_type_ids=False)
        ids = model.generate(**batch, max_new_tokens=6)
    return tokenizer.batch_decode(ids, skip_special_tokens=True)


RIGHT = [meant(text, 6) for text in TEXTS]

VALUES = (None, True, False, 0, 1, 2, 0.5, "relu", "float16", [], {}, {"type": "Lowercase"})


def edits(record, path=()):
    """Every key left out, and with other values in its place."""
    for key in [*record] if isinstance(record, dict) else range(len(record)):
        below = record[key]
        yield (*path, key), None, True
        yield from (((*path, key), value, False) for value in VALUES if value != below)
        if isinstance(below, dict | list):
            yield from edits(below, (*path, key))


def edited(record, path, value, is_left_out):
    changed = deepcopy(record)
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    if is_left_out:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_transformers_gives_right_answers_wherever_the_verdict_is_right(folder, name):
    record = json.loads((folder / name).read_text())
    checkpoint, passed = read_checkpoint(folder), set()
    for path, value, is_left_out in edits(record):
        (folder / name).write_text(json.dumps(edited(record, path, value, is_left_out)))
        if not disagreements(checkpoint):
            assert generated(folder) == RIGHT, (path, value)
            passed.add(path[0])
    assert passed >= {"config.json": {"use_cache", "n_inner"}}.get(name, set())


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("config.json", "n_head", 1),
        ("config.json", "layer_norm_epsilon", 500.0),
        ("generation_config.json", "eos_token_id", 0),
        ("generation_config.json", "suppress_tokens", [0]),
        ("tokenizer_config.json", "padding_side", "right"),
    ],
)
def test_what_transformers_answers_otherwise_is_no_pass(folder, name, key, value):
    record = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**record, key: value}))
    assert generated(folder) != RIGHT
    assert [found.key for found in verify_folder(folder).disagreements] == [key]


HALVES = ("float16", "bfloat16")


@pytest.fixture(scope="module", params=HALVES)
def half(request, tmp_path_factory):
    compiled = compile_program(PROGRAM, n_positions=16, dtype=request.param)
    return save(compiled, tmp_path_factory.mktemp("half") / "out")


def test_a_half_precision_folder_that_passes_is_right_where_transformers_runs_it(half, tmp_path):
    """One large weight anywhere: in float32 nothing overflows, and 0 times it is 0."""
    with safetensors.safe_open(half / "model.safetensors", "pt") as file:
        metadata = file.metadata()
    tensors = torch_files.load_file(half / "model.safetensors")
    folder = shutil.copytree(half, tmp_path / "out")
    random, passed, caught = Random(1), 0, 0
    for _ in range(sweep(16)):
        name = random.choice([*tensors])
        changed = tensors[name].clone()
        changed.view(-1)[random.randrange(changed.numel())] = 6e4
        torch_files.save_file(
            {**tensors, name: changed}, folder / "model.safetensors", metadata=metadata
        )
        report = verify_folder(folder)
        caught += bool(report.disagreements)
        if report.passed:
            passed += 1
            assert generated(folder) == RIGHT, name
    assert passed
    assert caught or half_is_wide(half)


@pytest.mark.parametrize("dtype", HALVES)
def test_gelu_is_rounded_in_the_steps_in_which_transformers_computes_it(dtype):
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(getattr(torch, dtype))
    every = every[every.isfinite()]
    theirs = transformers.activations.ACT2FN["gelu_new"](every).float().numpy()
    model = as_rounded(compile_program(PROGRAM, dtype=dtype).model)
    with np.errstate(over="ignore", invalid="ignore"):
        ours = model._after_step(model._activated(every.float().numpy()))
    assert (theirs != ours).sum() < 20  # their tanh rounds otherwise; GELU in one step differs at 1,000


def half_is_wide(folder):
    """Whether its numbers are as large as those of float32."""
    return load(folder).dtype.name == "bfloat16"


def test_a_folder_that_transformers_saved_again_passes(folder, tmp_path):
    again = tmp_path / "again"
    transformers.AutoModelForCausalLM.from_pretrained(folder).save_pretrained(again)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(again)
    shutil.copy(folder / "handcraft.json", again)
    report = verify_folder(again)
    assert report.disagreements == ()
    assert report.passed
    assert generated(again) == RIGHT
