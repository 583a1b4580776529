"""The lock: what `make demo` and `make test` install, with hashes, and from no index in particular."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
HASHED = ("build", "demo", "test", "readers")


def text(name):
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def pins(name):
    """The version that a file of the lock has for each package."""
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\n]+)", text(name), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


def asked(*extras):
    """What pyproject.toml asks for, with what its own extras stand for."""
    for line in [*PROJECT["project"]["dependencies"], *(line for e in extras for line in EXTRAS[e])]:
        needed = Requirement(line)
        if needed.name == "handcraft":
            yield from asked(*needed.extras)
        else:
            yield needed


def missed(needed, *files):
    locked = {package: version for file in files for package, version in pins(file).items()}
    return {
        str(need)
        for need in needed
        if not need.specifier.contains(locked.get(canonicalize_name(need.name), "0"), prereleases=True)
    }


def test_every_requirement_is_locked_in_an_allowed_version():
    backend = [Requirement(line) for line in PROJECT["build-system"]["requires"]]
    assert missed(backend, "build") == set()
    assert missed(asked(), "demo") == set()
    assert missed(asked(*EXTRAS), "test", "torch") == set()
    assert missed(asked(), "readers") == set()
    lines = (ROOT / "requirements" / "readers.in").read_text(encoding="utf-8").splitlines()
    assert missed([Requirement(line) for line in lines if line[0] != "#"], "readers") == set()


@pytest.mark.parametrize("file", HASHED)
def test_every_locked_package_has_a_hash(file):
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text(file))
    assert [block for block in blocks if "==" in block and "--hash=sha256:" not in block] == []


def test_torch_is_locked_by_its_version_alone_since_its_builds_differ():
    assert pins("torch")["torch"] == pins("torch")["torch"].partition("+")[0]
    assert "--hash" not in text("torch")
    for file in ("test", "readers"):
        builds = {name for name in pins(file) if re.match(r"(torch|triton|nvidia-|cuda-)", f"{name}-")}
        assert not builds


def test_no_file_of_the_lock_names_an_index():
    for file in (*HASHED, "torch"):
        assert not re.search(
            "://|^-", text(file), re.MULTILINE
        )  # an option stands at the start of a line


def test_what_two_files_lock_they_lock_in_one_version():
    for file in ("build", "demo", "torch"):
        shared = pins(file).keys() & pins("test").keys()
        assert {name: pins(file)[name] for name in shared} == {
            name: pins("test")[name] for name in shared
        }
