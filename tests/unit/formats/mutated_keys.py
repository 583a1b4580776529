"""Files of JSON with one key changed, removed or added, and whether a disagreement names it."""

from __future__ import annotations

from copy import deepcopy


def paths(value, path=()):
    """Every key and every place in a list, at every depth."""
    below = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in below:
        yield (*path, key)
        if isinstance(each, dict | list):
            yield from paths(each, (*path, key))


def others(value):
    """Allowed values of the same type, or that are allowed where null is."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value * 2 + 3, None]
    if isinstance(value, str):
        return ["x", "relu", None]
    if value is None:
        return [0, [0, 1], "x", {"type": "Lowercase"}]
    return [type(value)()]


def parent_of(record, path):
    for key in path[:-1]:
        record = record[key]
    return record


def changed(record, path, value):
    """A copy with another value at a place."""
    copied = deepcopy(record)
    parent_of(copied, path)[path[-1]] = value
    return copied


def mutations(record, more=None):
    """Each place left out, and with each other value; `more` has further ones by the last key."""
    for path in paths(record):
        copied = deepcopy(record)
        del parent_of(copied, path)[path[-1]]
        yield path, "left out", copied
        there = parent_of(record, path)[path[-1]]
        for value in [*others(there), *(more or {}).get(path[-1], ())]:
            if type(value) is not type(there) or value != there:
                yield path, value, changed(record, path, value)


def is_named(found, name, path):
    """Whether a disagreement names a key, the whole that it is in, or a part of it."""
    key = ".".join(map(str, path))
    return any(
        d.file == name
        and (d.key is None or f"{key}.".startswith(f"{d.key}.") or d.key.startswith(f"{key}."))
        for d in found
    )
