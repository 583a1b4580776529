"""Every kind of damage is a CheckpointError, and no file ever runs code."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sweeps import part

from handcraft.dtype import DTYPE_NAMES
from handcraft.errors import CheckpointError, HandcraftError, HandcraftWarning
from handcraft.formats import load, read_checkpoint, save
from handcraft.verify import verify

NAMES = ("wte.weight", "wpe.weight", "h.0.attn.c_attn.bias", "h.0.attn.c_proj.weight")


@pytest.fixture
def safetensors(copy_of, tmp_path):
    return copy_of("compiled", "safetensors", tmp_path / "s")


@pytest.fixture
def npz(copy_of, tmp_path):
    return copy_of("compiled", "npz", tmp_path / "n")


def read_tensors(folder):
    if (folder / "model.npz").exists():
        with np.load(folder / "model.npz") as archive:
            return {name: archive[name] for name in archive.files}
    return load_file(folder / "model.safetensors")


def write_tensors(folder, tensors):
    if (folder / "model.npz").exists():
        np.savez(folder / "model.npz", **tensors)
    else:
        save_file(tensors, folder / "model.safetensors")


@pytest.fixture(params=["safetensors", "npz"])
def folder(request):
    return request.getfixturevalue(request.param)


def tensor_file(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.name != "handcraft.json")


def refused(folder) -> CheckpointError:
    """The error that loading gives, which must have its three parts."""
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert caught.value.what
    assert caught.value.where
    assert caught.value.fix
    return caught.value


# --- folders and files -------------------------------------------------------------------------


def test_a_missing_folder_is_reported(tmp_path):
    error = refused(tmp_path / "out")
    assert error.what == f"there is no folder {tmp_path / 'out'}"
    assert error.fix == "name a folder that `handcraft compile` wrote"


def test_a_file_in_its_place_is_reported(tmp_path):
    (tmp_path / "out").write_text("x")
    assert refused(tmp_path / "out").what == f"{tmp_path / 'out'} is not a folder"


def test_a_folder_without_a_manifest_is_reported(folder):
    (folder / "handcraft.json").unlink()
    error = refused(folder)
    assert error.what == "the folder has no handcraft.json"
    assert error.where == str(folder)


def test_a_folder_without_tensors_is_reported(folder):
    tensor_file(folder).unlink()
    error = refused(folder)
    assert error.what == "the folder has neither of model.safetensors, model.npz"
    assert "compile" in error.fix
    assert "keep" not in error.fix


def test_two_tensor_files_are_reported(safetensors, npz):
    shutil.copy(npz / "model.npz", safetensors)
    error = refused(safetensors)
    assert error.what == "the folder has model.safetensors and model.npz"
    assert error.fix == "keep the one that was compiled"


@pytest.mark.parametrize("name", ["handcraft.json", "tensors"])
def test_a_folder_in_the_place_of_a_file_is_reported(folder, name):
    path = folder / name if name.endswith("json") else tensor_file(folder)
    path.unlink()
    path.mkdir()
    assert refused(folder).where == str(path)


# --- the file of tensors -----------------------------------------------------------------------


@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_truncated_tensors_are_reported(folder, part):
    path = tensor_file(folder)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    error = refused(folder)
    assert error.what.startswith(f"{path.name} cannot be read: ")
    assert error.fix == "it is damaged or of another kind; compile the program again"


FOREIGN = {
    "nothing": b"",
    "text": b"these are not tensors\n" * 20,
    "zeros": b"\0" * 500,
    "a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07nothing\x94.",
    "a huge header": (1 << 60).to_bytes(8, "little") + b"{}",
    "a header that is no JSON": (4).to_bytes(8, "little") + b"nope",
    "a zip with nothing in it": b"PK\x05\x06" + b"\0" * 18,
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_file_is_reported(folder, data):
    tensor_file(folder).write_bytes(data)
    assert refused(folder).where == str(tensor_file(folder))


def test_one_array_in_the_place_of_an_archive_is_reported(npz):
    with (npz / "model.npz").open("wb") as file:
        np.save(file, np.zeros((2, 10), dtype="float32"))
    refused(npz)


def test_an_archive_member_that_is_no_array_is_reported(npz):
    with zipfile.ZipFile(npz / "model.npz", "w") as archive:
        for name in read_names(npz):
            archive.writestr(f"{name}.npy", b"these are not numbers")
    refused(npz)


def read_names(folder):
    record = json.loads((folder / "handcraft.json").read_text(encoding="utf-8"))
    return list(record["weights"])


def test_an_encrypted_archive_is_reported(npz):
    """A member that says it needs a password; zipfile answers with a RuntimeError."""
    data = bytearray((npz / "model.npz").read_bytes())
    for at in find_all(data, b"PK\x01\x02"):
        data[at + 8] |= 1
    for at in find_all(data, b"PK\x03\x04"):
        data[at + 6] |= 1
    (npz / "model.npz").write_bytes(data)
    refused(npz)


def test_an_archive_packed_in_an_unknown_way_is_reported(npz):
    data = bytearray((npz / "model.npz").read_bytes())
    for at in find_all(data, b"PK\x01\x02"):
        data[at + 10] = 77
    (npz / "model.npz").write_bytes(data)
    refused(npz)


def test_a_damaged_packed_archive_is_reported(npz):
    """np.savez_compressed is another kind of npz; damage inside it is found by zlib."""
    tensors = read_tensors(npz)
    np.savez_compressed(npz / "model.npz", **tensors)
    data = bytearray((npz / "model.npz").read_bytes())
    start = data.index(b"PK\x03\x04")
    name = int.from_bytes(data[start + 26 : start + 28], "little")
    extra = int.from_bytes(data[start + 28 : start + 30], "little")
    data[start + 30 + name + extra] ^= 0xFF
    (npz / "model.npz").write_bytes(data)
    refused(npz)


def test_an_array_that_claims_to_be_enormous_is_reported(npz):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }"
    padded = header + b" " * (117 - len(header)) + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded
    with zipfile.ZipFile(npz / "model.npz", "w") as archive:
        archive.writestr("wte.weight.npy", member)
    refused(npz)


def find_all(data, wanted):
    at = data.find(wanted)
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "sprung"))


def test_pickled_arrays_are_refused_and_not_run(npz, tmp_path):
    tensors = read_tensors(npz)
    trapped = np.empty(tensors["wte.weight"].shape, dtype=object)
    trapped[:] = Trap(tmp_path / "sprung")
    np.savez(npz / "model.npz", **{**tensors, "wte.weight": trapped})
    refused(npz)
    assert not (tmp_path / "sprung").exists()
    with np.load(npz / "model.npz", allow_pickle=True) as archive:  # the trap does work
        archive["wte.weight"]
    assert (tmp_path / "sprung").exists()


def damaged_copies(data: bytes, copies: int):
    """The data with one byte changed, at places spread over all of it, by several amounts."""
    random = np.random.default_rng(0)
    for at in random.choice(len(data), size=copies, replace=False).tolist():
        changed = bytearray(data)
        changed[at] ^= int(random.integers(1, 256))
        yield at, bytes(changed)


@pytest.mark.parametrize("file", ["tensors", "handcraft.json"])
def test_any_damaged_byte_is_reported_or_harmless(folder, file):
    path = tensor_file(folder) if file == "tensors" else folder / file
    whole = path.read_bytes()
    escaped = []
    for at, data in damaged_copies(whole, 150):
        path.write_bytes(data)
        escaped += other_errors(folder, f"byte {at}: {data[at]:#04x} for {whole[at]:#04x}")
    assert escaped == []


def other_errors(folder, label, use=load) -> list[str]:
    """What loading raised that is no CheckpointError, as a line to show."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HandcraftWarning)
            use(folder)
    except CheckpointError:
        return []
    except Exception as error:
        return [f"{label}: {type(error).__name__}: {error}"]
    return []


# --- tensors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_tensor_is_named(folder, name):
    tensors = read_tensors(folder)
    del tensors[name]
    write_tensors(folder, tensors)
    assert refused(folder).what == f"{tensor_file(folder).name} lacks {name}"


def test_a_foreign_tensor_is_named(folder):
    write_tensors(folder, {**read_tensors(folder), "lm_head.weight": np.zeros((2, 2), "float32")})
    what = f"{tensor_file(folder).name} has lm_head.weight, which the model does not"
    assert refused(folder).what == what


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_shape_is_reported_with_both(folder, name):
    tensors = read_tensors(folder)
    right = list(tensors[name].shape)
    for wrong in ([*right, 1], [*right[:-1], right[-1] + 1], right[1:], [1, *right]):
        write_tensors(folder, {**tensors, name: np.zeros(wrong, "float32")})
        expected = f"{name} is {wrong}, and the sizes of the model make it {right}"
        assert refused(folder).what == expected


def test_a_transposed_matrix_is_reported(folder):
    tensors = read_tensors(folder)
    name = "h.0.attn.c_attn.weight"
    write_tensors(folder, {**tensors, name: np.ascontiguousarray(tensors[name].T)})
    what = "h.0.attn.c_attn.weight is [21, 7], and the sizes of the model make it [7, 21]"
    assert refused(folder).what == what


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", NAMES)
def test_a_number_that_is_not_finite_is_reported_with_its_place(folder, name, number):
    tensors = read_tensors(folder)
    place = tuple(size - 1 for size in tensors[name].shape)
    tensors[name][place] = number
    write_tensors(folder, tensors)
    error = refused(folder)
    assert error.what == f"{name} has {number} at {list(place)}"
    assert error.fix == "a weight is a finite number; compile the program again"


@pytest.mark.parametrize(
    ("dtype", "code"), [("int32", "I32"), ("int64", "I64"), ("uint8", "U8"), ("bool", "BOOL")]
)
def test_another_type_is_reported(folder, dtype, code):
    write_tensors(folder, {name: t.astype(dtype) for name, t in read_tensors(folder).items()})
    error = refused(folder)
    named = dtype if (folder / "model.npz").exists() else code
    assert error.what == f"the tensors are of type {named}"
    assert error.fix == f"all must be {' or all '.join(DTYPE_NAMES)}"


def test_two_types_in_one_file_are_reported(folder):
    tensors = read_tensors(folder)
    write_tensors(folder, {**tensors, "wte.weight": tensors["wte.weight"].astype("float64")})
    assert refused(folder).what == "the tensors are of type float32 and float64"


@pytest.mark.parametrize("dtype", ["complex64", "S4", "U4", "datetime64[s]"])
def test_types_that_only_numpy_has_are_reported(npz, dtype):
    tensors = read_tensors(npz)
    np.savez(npz / "model.npz", **{**tensors, "wte.weight": np.zeros((2, 10), dtype)})
    refused(npz)


def test_a_structured_array_is_reported(npz):
    rows = np.zeros((2, 10), dtype=[("x", "f4")])
    np.savez(npz / "model.npz", **{**read_tensors(npz), "wte.weight": rows})
    refused(npz)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F4", "NONSENSE"])
def test_types_that_only_safetensors_has_are_reported(safetensors, dtype):
    path = safetensors / "model.safetensors"
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    sizes = {"F8_E4M3": 1, "F8_E5M2": 1, "F4": 0.5, "NONSENSE": 4}
    end = 0
    for name, entry in header.items():
        if name != "__metadata__":
            count = int(np.prod(entry["shape"]) * sizes[dtype])
            entry.update(dtype=dtype, data_offsets=[end, end + count])
            end += count
    written = json.dumps(header).encode()
    path.write_bytes(len(written).to_bytes(8, "little") + written + bytes(end))
    refused(safetensors)


def test_numbers_of_the_other_byte_order_mean_the_same(npz, compiled):
    np.savez(npz / "model.npz", **{n: t.astype(">f4") for n, t in read_tensors(npz).items()})
    np.testing.assert_array_equal(load(npz).forward([[0, 0, 1]]), compiled.model.forward([[0, 0, 1]]))


# --- the record --------------------------------------------------------------------------------


GARBAGE = {
    "nothing": b"",
    "an open brace": b"{",
    "a word": b"hello",
    "bytes": b"\xff\xfe\x00",
    "a list": b"[]",
    "null": b"null",
    "a string": b'"handcraft"',
    "a number": b"1",
    "an empty object": b"{}",
    "a deep list": b"[" * 100_000,
    "a duplicate brace": b"{}{}",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_an_invalid_manifest_is_reported(folder, data):
    (folder / "handcraft.json").write_bytes(data)
    assert refused(folder).where == str(folder / "handcraft.json")


def edit(folder, change):
    path = folder / "handcraft.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize("version", [0, 1, 3, -1, None, "2", 2.5, [2], True])
def test_another_version_is_reported(folder, version):
    edit(folder, lambda record: record.update(handcraft=version))
    error = refused(folder)
    assert error.what == f"handcraft.json is of version {version!r}"
    assert error.fix == "this handcraft reads version 2; compile the program again"


def test_a_manifest_without_a_version_is_reported(folder):
    edit(folder, lambda record: record.pop("handcraft"))
    assert refused(folder).what == "handcraft.json is of version None"


def rules(*pairs):
    """A change of the rules, each a token and a pattern."""
    stated = [{"predict": token, "after": pattern} for token, pattern in pairs]
    return lambda record: record["source"].update(rules=stated)


CONTRADICTIONS = {
    "another architecture": lambda r: r["architecture"].update(name="gpt5"),
    "a vocabulary of other tokens": lambda r: r.update(vocabulary=["x", "y"]),
    "a token more": lambda r: r.update(vocabulary=["a", "b", "c"]),
    "a token twice": lambda r: r.update(vocabulary=["a", "a"]),
    "two tokens twice": lambda r: r.update(vocabulary=["a", "a", "", ""]),
    "another size of vocabulary": lambda r: r["shape"].update(n_vocab=3),
    "another context": lambda r: r["shape"].update(n_positions=6),
    "another width": lambda r: r["shape"].update(n_embd=20),
    "heads that do not fit": lambda r: r["shape"].update(n_head=3),
    "no heads": lambda r: r["shape"].update(n_head=0),
    "a block more": lambda r: r["shape"].update(n_inner=[0, 0]),
    "a block less": lambda r: r["shape"].update(n_inner=[]),
    "an MLP that is not there": lambda r: r["shape"].update(n_inner=[4]),
    "a negative MLP": lambda r: r["shape"].update(n_inner=[-4]),
    "rules of a longer context": lambda r: r["source"].update(context=9),
    "a context of 0": lambda r: r["source"].update(context=0),
    "rules that are no pairs": lambda r: r["source"].update(rules=["predict"]),
    "a rule that predicts an unknown token": rules(("x", None)),
    "a pattern that is none": rules(("a", "[b"), ("a", None)),
    "rules that do not cover everything": rules(("a", "b")),
    "several wrong rules": rules(("x", "b"), ("y", "z")),
    "a source that is neither": lambda r: r.update(source={}),
    "ids for more tokens": lambda r: r.update(token_ids=[0, 1, 2]),
    "an id twice": lambda r: r.update(token_ids=[1, 1]),
    "an id past the vocabulary": lambda r: r.update(token_ids=[0, 7]),
    "a negative id": lambda r: r.update(token_ids=[-1, 0]),
    "another format": lambda r: r.update(format="pickle"),
}  # fmt: skip


@pytest.mark.parametrize("change", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_manifest_that_contradicts_itself_is_reported(folder, change):
    edit(folder, change)
    refused(folder)


def test_all_errors_of_a_manifest_are_reported(folder):
    edit(folder, lambda record: record.update(vocabulary=["a", "a", ""]))
    error = refused(folder)
    assert "'a' is in the vocabulary twice" in str(error)
    assert "token 3 of the vocabulary is empty" in str(error)


ODD = [None, True, -1, 0, 100_000, 1.5, float("inf"), float("nan"), "", "1/0", [], {}, [[]]]


def paths(value):
    """The place of every key, and of the first and the last item of every list."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
        items = items if len(items) <= 2 else [items[0], items[-1]]
    else:
        return
    for key, inner in items:
        yield (key,)
        yield from ((key, *rest) for rest in paths(inner))


def changed(record, path, value=None, *, delete=False):
    record = copy.deepcopy(record)
    features = record
    for key in path[:-1]:
        features = features[key]
    if delete:
        del features[path[-1]]
    else:
        features[path[-1]] = value
    return record


@pytest.fixture(params=["with_neurons", "laid_out_by_hand"])
def record(request, copy_of, tmp_path):
    """A folder, and its record: once of rules, once of circuits."""
    folder = copy_of(request.param, "safetensors", tmp_path / "out")
    return folder, json.loads((folder / "handcraft.json").read_text(encoding="utf-8"))


def all_other_errors(folder, records, use=load):
    escaped = []
    for label, record in records:
        (folder / "handcraft.json").write_text(json.dumps(record), encoding="utf-8")
        escaped += other_errors(folder, label, use)
    return escaped


def test_a_manifest_without_any_of_its_keys_is_reported_or_harmless(record):
    folder, whole = record
    cut = ((f"without {path}", changed(whole, path, delete=True)) for path in paths(whole))
    assert all_other_errors(folder, cut) == []


@pytest.mark.parametrize("number", range(len(ODD)), ids=map(repr, ODD))
def test_a_manifest_with_anything_in_the_place_of_a_value_is_reported_or_harmless(record, number):
    """Each place meets three of the values or more, and in a deep run all."""
    folder, whole = record
    value = ODD[number]
    met = part(list(paths(whole)), number)
    odd = ((f"{path} = {value!r}", changed(whole, path, value)) for path in met)
    assert all_other_errors(folder, odd) == []


LOAD = """
import sys
from handcraft.errors import CheckpointError
from handcraft.formats import load
try:
    load(sys.argv[1])
except CheckpointError:
    print("told")
"""


def test_an_impossible_context_is_reported_at_once(compiled, tmp_path):
    """In a process of its own, which can be stopped."""
    folder = save(compiled, tmp_path / "out")
    edit(folder, lambda record: record["source"].update(context=10**30))
    command = [sys.executable, "-c", LOAD, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.stdout == "told\n"


def verify_it(folder):
    """Load, and use what was loaded: nothing may be put off until then."""
    found = read_checkpoint(folder)
    try:
        verify(found.model, found.source)
    except HandcraftError:
        return


@pytest.mark.parametrize("value", [-1, 7, "1/2", 0], ids=repr)
def test_what_loads_can_be_verified(record, value):
    folder, whole = record
    source = [path for path in paths(whole) if path[0] == "source"]
    odd = ((f"{path} = {value!r}", changed(whole, path, value)) for path in source)
    assert all_other_errors(folder, odd, verify_it) == []


@pytest.mark.parametrize("size", [0, 4, 12, 200])
def test_that_a_file_cannot_be_read_is_said_once(folder, size):
    path = tensor_file(folder)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(folder)
    assert caught.value.what.count("cannot be read") == 1
