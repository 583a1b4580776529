"""What others would load or generate in another way than is proved is refused, and said clearly."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from handcraft import Program, Prompts, compile_program, predict
from handcraft_check.errors import CheckError
from handcraft_check.folder.key import key_of
from handcraft_check.prove import prove
from handcraft_check.texts import proved_margins

WEIGHTS, CONFIG, GENERATION = "model.safetensors", "config.json", "generation_config.json"

PREFIXES = {"gpt2": "transformer.", "llama": "model."}


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def original(request, tmp_path_factory):
    prompts = Prompts("ab", context=3)
    rules = [predict("b").when(prompts.token == "a"), predict("a").otherwise()]
    compiled = compile_program(Program(prompts=prompts, rules=rules), architecture=request.param)
    return compiled.save(tmp_path_factory.mktemp(request.param) / request.param)


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / original.name)


def refusal(folder):
    """What the checker says of a folder that it refuses."""
    with pytest.raises(CheckError) as caught:
        prove(folder, rehash=True)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "model.fp16.safetensors",
        "Model.SAFETENSORS.index.json",
        "consolidated.safetensors",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "pytorch_model-00001-of-00002.bin",
        "tf_model.h5",
        "flax_model.msgpack",
        "model.ckpt.index.json",
        "adapter_config.json",
        "adapter_model.bin",
        "quantization_config.json",
        "quantize_config.json",
        "hf_quant_config.json",
        "params.json",
        "another\n.safetensors",
    ],
)
def test_a_file_that_may_be_loaded_in_place_of_the_weights_is_refused(name, folder):
    (folder / name).write_text("{}", "utf-8")
    said = refusal(folder)
    shown = name.replace("\n", "?")
    assert said.startswith(f"CheckError: some tools load {shown} in place of model.")
    assert "fix:   remove it" in said


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "training_args.bin",
        "optimizer.pt",
        "model.gguf",
    ],
)
def test_other_files_do_not_matter(name, folder):
    (folder / name).write_text("{}", "utf-8")
    assert prove(folder).word == "proved"


@pytest.mark.parametrize("name", ["disguise.safetensors", "Components.safetensors"])
@pytest.mark.parametrize(
    "tensor", ["h.0.units", "transformer.wte.weight.places", "blocks.0.hook_mlp_out"]
)
def test_files_of_other_tensors_do_not_matter(tensor, name, folder):
    save_file({tensor: np.zeros(2)}, folder / name, metadata={"format": "np"})
    assert prove(folder).word == "proved"


@pytest.mark.parametrize(
    "name", ["disguise.safetensors", "freeze.safetensors", "Components.safetensors"]
)
@pytest.mark.parametrize(
    "tensor",
    [
        "transformer.wte.weight",
        "h.0.mlp.c_fc.bias",
        "model.layers.0.self_attn.qkv_proj.weight",
        "lm_head.weight",
    ],
)
def test_a_known_file_with_tensors_of_a_class_is_refused(tensor, name, folder):
    others = {"h.0.units": np.zeros(2), tensor: np.zeros(2, dtype=bool)}
    save_file(others, folder / name)
    assert refusal(folder).startswith(f"CheckError: some tools load {name}")


@pytest.mark.parametrize("content", [b"{}", (3).to_bytes(8, "little") + b"[1]", b"\xff" * 16])
def test_a_known_file_that_is_damaged_is_refused(content, folder):
    (folder / "disguise.safetensors").write_bytes(content)
    assert "disguise.safetensors" in refusal(folder)


def change(folder, name, **values):
    path = folder / name
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps(found | values), "utf-8")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("suppress_tokens", [0]),
        ("begin_suppress_tokens", [0]),
        ("bad_words_ids", [[0]]),
        ("sequence_bias", {}),
        ("forced_eos_token_id", 0),
        ("repetition_penalty", 1.1),
        ("no_repeat_ngram_size", 1),
        ("num_beams", 2),
        ("num_beams", True),
        ("do_sample", True),
        ("do_sample", 0),
        ("guidance_scale", 2.0),
        ("cache_implementation", "quantized"),
        ("a key of the future", 1),
    ],
)
def test_a_setting_that_changes_what_is_generated_is_refused(key, value, folder):
    change(folder, GENERATION, **{key: value})
    said = refusal(folder)
    assert said.startswith(f"CheckError: {key!r} is {value!r}, which may change what is generated")


def test_settings_that_change_no_token_are_read(folder):
    change(folder, GENERATION, max_new_tokens=3, temperature=0.5, num_beams=1, suppress_tokens=None)
    assert prove(folder).word == "proved"


def test_a_folder_needs_no_settings_of_generation(folder):
    (folder / GENERATION).unlink()
    assert prove(folder).word == "proved"


@pytest.mark.parametrize("name", [CONFIG, GENERATION])
@pytest.mark.parametrize("padding", [0, 1.0, True, [1], "1"])
def test_a_token_of_the_program_is_no_padding(padding, name, folder):
    change(folder, name, pad_token_id=padding)
    assert f"pad_token_id is {padding!r}, and tools mask padding" in refusal(folder)


def test_the_begin_token_is_no_padding(folder):
    change(folder, GENERATION, pad_token_id=2)  # of a GPT-2, 2 is in no text
    if folder.name == "llama":
        assert "pad_token_id is 2, and tools mask padding" in refusal(folder)
    else:
        assert prove(folder).word == "proved"


@pytest.mark.parametrize("content", ["[]", "{", '{"do_sample": false, "do_sample": false}'])
def test_settings_of_generation_that_are_no_object_are_refused(content, folder):
    (folder / GENERATION).write_text(content, "utf-8")
    assert GENERATION in refusal(folder)


@pytest.mark.parametrize("found", [["T5ForConditionalGeneration"], "GPT2LMHeadModel", [], ["a", "b"]])
def test_another_class_is_refused(found, folder):
    change(folder, CONFIG, architectures=found)
    assert "architectures is" in refusal(folder)


def test_a_class_need_not_be_named(folder):
    change(folder, CONFIG, architectures=None)
    assert prove(folder, rehash=True).word == "proved"


def test_positions_are_stated_once(folder):
    if folder.name == "gpt2":
        change(folder, CONFIG, n_ctx=2)
        assert "n_ctx is 2, and n_positions" in refusal(folder)


def stored(folder, change, metadata=None):
    found = change(load_file(folder / WEIGHTS))
    save_file(found, folder / WEIGHTS, metadata=metadata)


def test_names_all_have_a_prefix_or_none(folder):
    prefix = PREFIXES[folder.name]
    stored(folder, lambda t: {name.removeprefix(prefix): each for name, each in t.items()})
    assert prove(folder, rehash=True).word == "proved"
    stored(
        folder,
        lambda t: {
            (name if "bias" in name or "norm" in name else prefix + name): each
            for name, each in t.items()
        },
    )
    assert "is there beside tensors whose names begin with" in refusal(folder)


def test_an_unembedding_has_no_prefix(folder):
    prefix = PREFIXES[folder.name]
    embedding = prefix + {"gpt2": "wte.weight", "llama": "embed_tokens.weight"}[folder.name]
    change(folder, CONFIG, tie_word_embeddings=False)
    stored(folder, lambda t: {**t, "lm_head.weight": t.get("lm_head.weight", t[embedding])})
    assert prove(folder, rehash=True).word == "proved"
    stored(folder, lambda t: {(prefix if n == "lm_head.weight" else "") + n: t[n] for n in t})
    assert "'lm_head.weight' is there beside" in refusal(folder).replace(prefix, "")


@pytest.mark.parametrize("format", ["tf", "flax", "jax", "PT"])
def test_tensors_of_another_format_are_refused(format, folder):
    stored(folder, lambda tensors: tensors, {"format": format})
    assert "its metadata names another format" in refusal(folder)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "mlx", "other": "x"}])
def test_tensors_need_not_state_a_format(metadata, folder):
    stored(folder, lambda tensors: tensors, metadata)
    assert prove(folder, rehash=True).word == "proved"


def test_margins_of_texts_are_about_the_same_folders(folder):
    (folder / "adapter_config.json").write_text("{}", "utf-8")
    with pytest.raises(CheckError, match=r"load adapter_config\.json"):
        proved_margins(folder, {}, "float32")


def test_a_stored_verdict_is_about_what_lies_beside(folder):
    """What was proved does not hold once an adapter is there, or another setting of generation."""
    keys = {key_of(folder, {})}
    change(folder, GENERATION, suppress_tokens=[0])
    keys.add(key_of(folder, {}))
    (folder / "adapter_config.json").write_text("{}", "utf-8")
    keys.add(key_of(folder, {}))
    (folder / "README.md").write_text("nothing", "utf-8")
    keys.add(key_of(folder, {}))
    assert len(keys) == 3


def header_of(folder, change):
    content = (folder / WEIGHTS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header[sorted(header)[-1]])
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


@pytest.mark.parametrize(
    "shape",
    [
        [0, 1 << 63],
        [0, 1 << 70],
        [1 << 32, 1 << 32],
        [1] * 65,
        [0] * 100_000,
        [10**4000] * 1_000,
        [-1, -8],
        [True],
        [8.0],
        ["8"],
        8,
        None,
    ],
    ids=lambda shape: str(shape)[:20],
)
def test_a_shape_that_no_weight_has_is_an_error(shape, folder):
    header_of(folder, lambda entry: entry.update(shape=shape))
    assert WEIGHTS in refusal(folder)


@pytest.mark.parametrize("dtype", ["F64", "F8_E4M3", "I8", "bf16", None, 4, ["F32"]])
def test_a_dtype_that_is_not_read_is_an_error(dtype, folder):
    header_of(folder, lambda entry: entry.update(dtype=dtype))
    assert "is malformed" in refusal(folder)


@pytest.mark.parametrize("offsets", [[0, 4], [4, 0], [0, 1 << 70], [-4, 0], [0], [0, 4, 8], "04", None])
def test_bytes_that_overlap_or_are_missing_are_an_error(offsets, folder):
    header_of(folder, lambda entry: entry.update(data_offsets=offsets))
    assert WEIGHTS in refusal(folder)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_weights_that_are_not_finite_are_an_error(number, dtype, folder):
    def change(tensors):
        name = sorted(tensors)[0]
        return {**tensors, name: np.full_like(tensors[name], number, dtype=dtype)}

    stored(folder, change)
    assert "not finite" in refusal(folder)


def test_a_link_to_the_weights_is_followed_as_others_do(folder):
    (folder / "elsewhere").mkdir()
    (folder / WEIGHTS).rename(folder / "elsewhere" / WEIGHTS)
    (folder / WEIGHTS).symlink_to(folder / "elsewhere" / WEIGHTS)
    assert prove(folder).word == "proved"


@pytest.mark.parametrize("target", ["/dev/zero", "nowhere", "."])
def test_a_link_to_no_file_is_an_error(target, folder):
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to(target)
    assert refusal(folder)
