"""A pack that tests share: written once for all tests of a process."""

import tempfile
from functools import cache
from pathlib import Path

from handcraft.conformance import read_pack, write_pack

_KEPT = []


@cache
def shared_pack():
    """A pack with all formats, in a folder that lasts as long as the tests."""
    folder = tempfile.TemporaryDirectory(prefix="conformance-pack-")
    _KEPT.append(folder)
    return read_pack(write_pack(Path(folder.name) / "pack"))
