"""Where a folder is proved, transformers loads it in a dtype of which the proof is."""

from __future__ import annotations

import json
import shutil
from itertools import product

import pytest
from judges import judge

from handcraft import Program, Prompts, compile_program, predict
from handcraft_check.errors import CheckError
from handcraft_check.prove import prove

torch = judge("torch")
transformers = judge("transformers")
tensor_files = judge("safetensors.torch")

STORED = ("all float32", "all bfloat16", "first bfloat16", "last bfloat16")
DTYPES = (None, "float32", "bfloat16")
CASES = list(product(STORED, DTYPES, DTYPES, DTYPES[1:]))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A program whose weights are numbers of bfloat16."""
    prompts = Prompts("ab", context=2)
    rules = [predict("b").when(prompts.token == "a"), predict("a").otherwise()]
    compiled = compile_program(Program(prompts=prompts, rules=rules), dtype="bfloat16")
    return compiled.save(tmp_path_factory.mktemp("dtypes") / "model")


def stored(tensors, how):
    """The same numbers in other dtypes."""
    names = sorted(tensors)
    few = {"all float32": [], "all bfloat16": names, "first bfloat16": names[:1]}.get(how, names[-1:])
    return {name: tensors[name].to(torch.bfloat16 if name in few else torch.float32) for name in names}


@pytest.mark.parametrize(("how", "dtype", "torch_dtype", "weights"), CASES)
def test_what_is_proved_is_what_is_loaded(how, dtype, torch_dtype, weights, original, tmp_path):
    folder = shutil.copytree(original, tmp_path / "model")
    path = folder / "model.safetensors"
    tensor_files.save_file(stored(tensor_files.load_file(path), how), path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"dtype": dtype, "torch_dtype": torch_dtype}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    certificate = json.loads((folder / "certificate.json").read_text("utf-8"))
    certificate["arithmetic"] = {"weights": weights, "steps": "float32"}
    (folder / "certificate.json").write_text(json.dumps(certificate), "utf-8")
    loaded = transformers.GPT2LMHeadModel.from_pretrained(folder).dtype
    is_claimed = str(loaded).removeprefix("torch.") in (weights, "float32")
    try:
        assert prove(folder, rehash=True).word == "proved"
    except CheckError:
        assert weights == "float32"
        assert how != "all float32" or "bfloat16" in (dtype, torch_dtype)
    else:
        assert is_claimed
