"""How much memory there is to work with: that of the machine, or less where a limit says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

UNKNOWN = 4 << 30
"""What is assumed, in bytes, where the system does not say how much memory it has."""

PROCESS_GROUPS = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")


def memory_of_machine() -> int:
    """The bytes of memory that this process may use at most.

    The least of: the memory of the machine, the limits of the control groups that the process is in
    (version 1 and version 2), and its own limit on address space.
    """
    return min(_installed(), *_limits_of_groups(PROCESS_GROUPS, GROUPS), *_own_limits())


def _installed() -> int:
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return UNKNOWN
    return found if found > 0 else UNKNOWN


@cache  # many small files are read, and every model needs it
def _limits_of_groups(own: Path, groups: Path) -> tuple[int, ...]:
    return tuple(_group_limits(own, groups))


def _group_limits(own: Path, groups: Path) -> Iterator[int]:
    """The limits of a control group and of all groups around it.

    The file `own` names the groups of this process; `groups` is where they are mounted.
    """
    try:
        lines = own.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers == "":
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = root / path.lstrip("/")
        for each in (folder, *folder.parents):
            if each.is_relative_to(root):
                yield from _limit_in(each / name)


def _limit_in(path: Path) -> Iterator[int]:
    """The number in a file, if there is one: a group without a limit says `max`."""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return
    if text.isdecimal() and int(text) > 0:
        yield int(text)


def _own_limits() -> Iterator[int]:
    if sys.platform == "win32":
        return
    import resource

    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            yield soft
