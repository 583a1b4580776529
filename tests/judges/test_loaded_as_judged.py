"""Where the checker proves a folder whose files were edited, transformers loads what is proved."""

from __future__ import annotations

import json
import shutil
import warnings
from itertools import product

import numpy as np
import pytest
from judges import judge
from sweeps import sweep

from handcraft import Program, compile_program, predict
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.prove import prove

torch = judge("torch")
transformers = judge("transformers")
tensor_files = judge("safetensors.torch")

pytestmark = pytest.mark.usefixtures("one_thread")

PROGRAM = Program("ab", 3, [predict("b").after("aa"), predict("a").otherwise()])
TEXTS = [[*text] for length in (1, 2, 3) for text in product((0, 1), repeat=length)]
RIGHT = ["ab".index(PROGRAM.meaning("".join("ab"[place] for place in text))) for text in TEXTS]

NAMES = {
    "gpt2": ("transformer.", "wte.weight", "transformer.h.0.mlp.c_proj.bias"),
    "llama": ("model.", "embed_tokens.weight", "model.norm.weight"),
}


@pytest.fixture(scope="module", params=NAMES)
def original(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged") / request.param
    return compile_program(PROGRAM, architecture=request.param).save(folder)


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / original.name)


def proved(folder):
    """The margin that is proved, whatever the hashes; None where none is."""
    try:
        verdict = prove(folder, rehash=True, budget=1 << 13)
    except CheckError:
        return None
    return verdict.margin if verdict.word == "proved" else None


def answers(folder):
    """Logits behind each text, and what is written then without any option; None for an error."""
    begin, found = read_claim(folder, rehash=True).model.config.begin, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
            for text in TEXTS:
                ids = torch.tensor([text if begin is None else [begin, *text]])
                with torch.no_grad():
                    logits = model(ids).logits[0, -1].float().numpy()
                is_full = ids.shape[1] == model.config.max_position_embeddings
                written = ids if is_full else model.generate(ids, max_new_tokens=1)
                found.append((logits, written[0, ids.shape[1] :].tolist()))
        except Exception:  # of some settings transformers makes nothing
            return None
    return found


def check_loaded(folder, margin, changed=None):
    """What transformers loads has that margin, and writes the right tokens; whether it loads it."""
    found = answers(folder)
    for text, right, (logits, written) in zip(TEXTS, RIGHT, found or [], strict=False):
        assert logits[right] - np.delete(logits, right).max() >= margin, (changed, text)
        assert written in ([right], []), (changed, text)
    return found is not None


def test_what_is_compiled_is_loaded(folder):
    assert check_loaded(folder, proved(folder))


VALUES = (None, True, False, 0, 1, 2, 1.0, 0.5, "gelu", "float16", ["GPT2Model"], {}, 1 << 20)


def edits(folder):
    """Every key of the files that transformers reads, and of its classes, with other values."""
    known = transformers.AutoConfig.from_pretrained(folder).to_dict()
    keys = {
        "config.json": {*known, *type(transformers.AutoConfig.from_pretrained(folder)).attribute_map},
        "generation_config.json": {*transformers.GenerationConfig().to_dict()},
    }
    for name, more in keys.items():
        record = json.loads((folder / name).read_text("utf-8"))
        for key in sorted({*record, *more}):
            for value in VALUES:
                if record.get(key, ...) != value or type(record[key]) is not type(value):
                    yield name, record, key, value


def test_edited_settings(folder):
    """The checker decides first, so that few of them are loaded."""
    loaded, every = 0, [*edits(folder)]
    step = 1 if sweep(1) > 1 else 3
    for name, record, key, value in every[::step]:
        path = folder / name
        before = path.read_text("utf-8")
        path.write_text(json.dumps({**record, key: value}), "utf-8")
        margin = proved(folder)
        if margin is not None:
            loaded += check_loaded(folder, margin, (name, key, value))
        path.write_text(before, "utf-8")
    assert loaded >= 5
    assert len(every) > 500


def of_prefix(tensors, prefix, has_prefix):
    return {
        prefix + name.removeprefix(prefix) if has_prefix(name) else name.removeprefix(prefix): each
        for name, each in tensors.items()
    }


CHANGES = {
    "no prefix": lambda t, p, e, b: of_prefix(t, p, lambda name: False),
    "a prefix for matrices only": lambda t, p, e, b: of_prefix(t, p, lambda n: t[n].ndim > 1),
    "no prefix for matrices": lambda t, p, e, b: of_prefix(t, p, lambda n: t[n].ndim < 2),
    "a prefix for all": lambda t, p, e, b: of_prefix(t, p, lambda name: True),
    "an unembedding": lambda t, p, e, b: {**t, "lm_head.weight": t[p + e].flip(0)},
    "an unembedding that is the embedding": lambda t, p, e, b: {
        **t,
        "lm_head.weight": t[p + e].clone(),
    },
    "an unembedding with a prefix": lambda t, p, e, b: {**t, p + "lm_head.weight": t[p + e].flip(0)},
    "a vector twice": lambda t, p, e, b: {**t, b.removeprefix(p): t[b] + 1},
    "one less": lambda t, p, e, b: {name: each for name, each in t.items() if name != b},
    "one more": lambda t, p, e, b: {**t, p + "h.0.attn.bias": torch.ones(1, 1, 4, 4)},
    "one with another shape": lambda t, p, e, b: {**t, b: t[b][None]},
    "one in bfloat16": lambda t, p, e, b: {**t, b: t[b].bfloat16()},
    "one in float64": lambda t, p, e, b: {**t, b: t[b].double()},
}


@pytest.mark.parametrize("is_tied", [None, True, False])
@pytest.mark.parametrize("what", CHANGES)
def test_edited_tensors(what, is_tied, folder):
    path, config = folder / "model.safetensors", folder / "config.json"
    changed = CHANGES[what](tensor_files.load_file(path), *NAMES[folder.name])
    tensor_files.save_file(changed, path, metadata={"format": "pt"})
    if is_tied is not None:
        stated = json.loads(config.read_text("utf-8")) | {"tie_word_embeddings": is_tied}
        config.write_text(json.dumps(stated), "utf-8")
    margin = proved(folder)
    if margin is not None:
        check_loaded(folder, margin, what)
