"""A pack that tests share: written once for all tests of a process."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from handcraft.conformance import read_pack, write_pack
from handcraft.conformance.run.fewest import fewest_cases

_KEPT = []


@cache
def shared_pack():
    """A pack with all formats, in a folder that lasts as long as the tests; no margin is proved."""
    folder = tempfile.TemporaryDirectory(prefix="conformance-pack-")
    _KEPT.append(folder)
    return read_pack(write_pack(Path(folder.name) / "pack", is_proved=False))


@cache
def quick_pack():
    """As few of its cases as tell all faults apart."""
    pack = shared_pack()
    return replace(pack, cases=fewest_cases(pack))
