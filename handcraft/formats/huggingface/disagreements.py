"""Find where the files that other tools read contradict handcraft.json or the tensors.

transformers never opens handcraft.json: it builds the model from config.json and the tensors, and makes
ids of text as tokenizer.json says. So these files are compared, key by key, with those that would be
written for the model that handcraft.json describes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from handcraft.errors import CheckpointError, HandcraftError
from handcraft.formats.checkpoint import Checkpoint
from handcraft.formats.folder import DISGUISE_MAP, MANIFEST
from handcraft.formats.foreign_files import contradiction, find_file, read_object, shown
from handcraft.formats.huggingface.config_json import CONFIG
from handcraft.formats.huggingface.config_keys import (
    CONFIG_KEYS,
    GENERATION,
    KEYS,
    TOKENIZER_CONFIG,
    Keys,
)
from handcraft.formats.huggingface.llama_json import THETA
from handcraft.formats.huggingface.read_repository import read_huggingface
from handcraft.formats.huggingface.tokenizer import CHARACTER, CHARACTERS, SPLITTERS, TOKENIZER
from handcraft.formats.huggingface.write_repository import METADATA, json_files, special_name
from handcraft.formats.manifest.manifest import architecture_facts
from handcraft.formats.tensors.shards import INDEX, SINGLE, read_metadata
from handcraft.formats.tensors.tensor_file import FILES
from handcraft.model import Model
from handcraft.verify import Disagreement
from handcraft.vocabulary import Vocabulary

OTHER_WEIGHTS = re.compile(
    r".*\.(safetensors|bin|pt|pth|ckpt|h5|msgpack|npz|gguf|onnx)|" + re.escape(INDEX)
)
"""Files that some tool takes for the weights."""

OTHER_SETTINGS = {
    "adapter_config.json": "makes from_pretrained add an adapter to the weights",
    "added_tokens.json": "adds tokens to those of tokenizer.json",
    "special_tokens_map.json": "names special tokens besides those of tokenizer_config.json",
    "vocab.json": "is another vocabulary beside tokenizer.json",
    "merges.txt": "belongs to another tokenizer than tokenizer.json",
    "preprocessor_config.json": "belongs to another kind of model",
    "quantization_config.json": "makes some tools quantize the weights",
}
"""Files that change what is read, and how."""

PLAIN_TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {},
}
"""The post-processor that transformers writes where there was none: it adds nothing."""

ROPE_KEYS = ("rope_theta", "rope_parameters", "rope_scaling")
"""Where the base of the frequencies may be, or not."""

_MISSING = object()


def disagreements(checkpoint: Checkpoint) -> tuple[Disagreement, ...]:
    """Every key that contradicts handcraft.json or the tensors, file by file."""
    found = [*_in_manifest(checkpoint)]
    if checkpoint.manifest.format == "huggingface":
        for name, expected in json_files(checkpoint.model).items():
            found += _in_file(checkpoint.folder, name, expected, checkpoint.model)
        found += _in_weights(checkpoint.folder)
    return (*found, *_other_files(checkpoint))


def model_as_read(checkpoint: Checkpoint) -> Model:
    """The model that `from_pretrained` builds: by config.json, its ids by tokenizer.json.

    A folder of another format is read by handcraft.json alone.

    Raises:
        CheckpointError: no model can be built from these files.
        SeveralErrors: for more than one reason.
    """
    if checkpoint.manifest.format != "huggingface":
        return checkpoint.model
    read = read_huggingface(checkpoint.folder)
    tokens = checkpoint.model.vocabulary.tokens
    path = checkpoint.folder / TOKENIZER
    try:
        ids = read_object(path)["model"]["vocab"]
        numbers = [ids[token] for token in tokens]
    except (KeyError, TypeError) as error:
        what = f"{TOKENIZER} gives no id to a token of the program: {error}"
        raise contradiction(what, path) from error
    if not all(type(n) is int and 0 <= n < read.shape.n_vocab for n in numbers):
        what = f"{TOKENIZER} gives ids that the model does not have, of {read.shape.n_vocab}"
        raise contradiction(what, path)
    return Model(read.architecture, read.shape, Vocabulary(tokens, ids=numbers), read.tensors)


def unreadable(error: HandcraftError) -> tuple[Disagreement, ...]:
    """Why no model can be built, as disagreements."""
    problems = getattr(error, "problems", (error,))
    return tuple(Disagreement(Path(p.where or "").name, None, p.what) for p in problems)


def _in_manifest(checkpoint: Checkpoint) -> Iterator[Disagreement]:
    """Facts that handcraft.json states for others and that are not read here."""
    model = checkpoint.model
    expected = architecture_facts(model.architecture, model.shape)
    found = checkpoint.manifest.architecture
    yield from _compared(MANIFEST, "architecture", found, expected)


def _in_file(
    folder: Path, name: str, expected: Mapping[str, Any], model: Model
) -> Iterator[Disagreement]:
    try:
        path = find_file(folder, name)
        found = None if path is None else read_object(path)
    except CheckpointError as error:
        yield Disagreement(name, None, error.what)
        return
    if found is None:
        yield Disagreement(name, None, "the file is missing")
    elif name == TOKENIZER:
        yield from _compared(name, "", _plain_tokenizer(found), expected)
    else:
        keys = CONFIG_KEYS[expected["model_type"]] if name == CONFIG else KEYS[name]
        yield from _by_keys(name, _plain(name, found, model), expected, keys)


def _by_keys(
    name: str, found: Mapping[str, Any], expected: Mapping[str, Any], keys: Keys
) -> Iterator[Disagreement]:
    """Compare what is read, where a key that is left out has a default and some have two names."""
    named = {keys.synonyms.get(key, key) for key in found}
    for key in [*expected, *(key for key in found if key not in expected)]:
        meant = keys.synonyms.get(key, key)
        right = expected.get(meant, keys.absent.get(meant, _MISSING))
        if key not in found and (key in named or meant in keys.inert):
            continue  # it is there under its other name, or changes nothing
        if meant in keys.inert:
            if not keys.inert[meant].allows(found[key]):
                what = f"is {shown(found[key])}, and must be {keys.inert[meant].values}"
                yield Disagreement(name, key, what)
        elif right is _MISSING:
            what = f"is {shown(found[key])}, which may change answers: no such key was written"
            yield Disagreement(name, key, what)
        elif key in found:
            yield from _compared(name, key, found[key], right)
        else:
            assumed = keys.absent.get(key, _MISSING)
            if not _is_same(assumed, right):
                meaning = "" if assumed is _MISSING else f", which means {shown(assumed)}"
                yield Disagreement(name, key, f"is left out{meaning}, and {shown(right)} is right")


def _compared(name: str, key: str, found: object, expected: object) -> Iterator[Disagreement]:
    """Compare two values all the way down; a key is named by its path."""
    path = f"{key}." if key else ""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for each in [*expected, *(other for other in found if other not in expected)]:
            if each not in found:
                what = f"is left out, and {shown(expected[each])} is right"
                yield Disagreement(name, f"{path}{each}", what)
            elif each not in expected:
                what = f"is {shown(found[each])}, and should not be there"
                yield Disagreement(name, f"{path}{each}", what)
            else:
                yield from _compared(name, f"{path}{each}", found[each], expected[each])
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for i, (each, right) in enumerate(zip(found, expected, strict=True)):
            yield from _compared(name, f"{path}{i}", each, right)
    elif not _is_same(found, expected):
        yield Disagreement(name, key, f"is {shown(found)}, and {shown(expected)} is right")


def _is_same(found: object, expected: object) -> bool:
    """Whether two values of JSON are equal; true is not 1, and 1 is 1.0 only for a float."""
    if isinstance(expected, float) and type(found) is int:
        return found == expected
    return type(found) is type(expected) and found == expected


def _plain(name: str, found: dict[str, Any], model: Model) -> dict[str, Any]:
    """A file with each value in the one form that is written here."""
    plain = dict(found)
    if name == CONFIG:
        plain = _plain_rope(plain) if model.architecture.is_rotary else _plain_inner(plain, model)
        if "dtype" not in plain and "torch_dtype" not in plain:
            plain["dtype"] = model.dtype.name  # that of the tensors
    if name == GENERATION:
        known = {*KEYS[name].absent, *KEYS[name].inert}
        plain = {key: value for key, value in plain.items() if value is not None or key in known}
    if name == TOKENIZER_CONFIG:
        if plain.get("tokenizer_class") == "TokenizersBackend":  # as transformers 5 calls it
            plain["tokenizer_class"] = "PreTrainedTokenizerFast"
        entry = json_files(model)[TOKENIZER]["added_tokens"][0]
        listed = {str(entry["id"]): {key: value for key, value in entry.items() if key != "id"}}
        if plain.get("added_tokens_decoder") == listed:  # transformers 4 repeats tokenizer.json
            del plain["added_tokens_decoder"]
    return plain


def _plain_inner(found: dict[str, Any], model: Model) -> dict[str, Any]:
    """config.json of a GPT-2 with the number of hidden units, which may be left to n_embd."""
    return found | ({"n_inner": 4 * model.shape.n_embd} if found.get("n_inner") is None else {})


def _plain_rope(found: dict[str, Any]) -> dict[str, Any]:
    """config.json of a Llama with the base of the frequencies in both of its places."""
    rope = found.get("rope_parameters")
    inside = rope.get("rope_theta") if isinstance(rope, dict) else None
    theta = found.get("rope_theta", THETA if inside is None else inside)
    plain = {"rope_theta": theta, "rope_parameters": {"rope_theta": theta, "rope_type": "default"}}
    plain |= {key: value for key, value in found.items() if value is not None or key not in ROPE_KEYS}
    for key in ("head_dim", "num_key_value_heads"):
        if plain.get(key) is None:  # as many as follow from the other sizes
            plain.pop(key, None)
    return plain


def _plain_tokenizer(found: dict[str, Any]) -> dict[str, Any]:
    """tokenizer.json with each part in the one form that is written here."""
    plain = dict(found)
    if (found.get("pre_tokenizer"), CHARACTER) in SPLITTERS:
        plain["pre_tokenizer"] = CHARACTERS
    if found.get("post_processor") == PLAIN_TEMPLATE:
        plain["post_processor"] = None
    return plain


def _in_weights(folder: Path) -> Iterator[Disagreement]:
    """What the header of model.safetensors says of itself."""
    expected = METADATA["format"]
    try:
        found = read_metadata(folder / SINGLE).get("format", _MISSING)
    except CheckpointError as error:
        yield Disagreement(SINGLE, None, error.what)
        return
    if found != expected:
        state = "is left out" if found is _MISSING else f"is {shown(found)}"
        yield Disagreement(SINGLE, "__metadata__.format", f"{state}, and {shown(expected)} is right")


def _other_files(checkpoint: Checkpoint) -> Iterator[Disagreement]:
    """Files that were not written, and that some tool reads."""
    for path in sorted(checkpoint.folder.iterdir()):
        if OTHER_WEIGHTS.fullmatch(path.name) and path.name not in (*FILES, DISGUISE_MAP):
            what = "these are other weights than those that were judged, and some tools load them"
            yield Disagreement(path.name, None, what)
        elif path.name in OTHER_SETTINGS and not _says_no_more(path, checkpoint.model):
            yield Disagreement(path.name, None, f"it {OTHER_SETTINGS[path.name]}")


def _says_no_more(path: Path, model: Model) -> bool:
    """Whether a list of special tokens names those that there are, as transformers 4 writes it."""
    if path.name != "special_tokens_map.json":
        return False
    try:
        found = read_object(path)
    except CheckpointError:
        return False
    names = ["pad_token"] if model.begin_id is None else ["bos_token", "pad_token"]
    contents = [each.get("content") if isinstance(each, dict) else each for each in found.values()]
    return sorted(found) == names and contents == [special_name(model)] * len(names)
