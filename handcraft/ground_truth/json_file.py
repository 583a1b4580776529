"""Data as the bytes of a JSON file: the same at every run, and readable line by line."""

from __future__ import annotations

import json
from collections.abc import Mapping


def json_bytes(data: Mapping[str, object]) -> bytes:
    """An object as JSON, with each entry of what it contains on a line of its own.

    Numbers must be finite: JSON has no others.
    """
    lines = [f"{_dumped(key)}: {_entries(value)}" for key, value in data.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", errors="backslashreplace")


def _entries(value: object) -> str:
    if isinstance(value, Mapping) and value:
        return "{\n" + ",\n".join(f" {_dumped(k)}: {_dumped(v)}" for k, v in value.items()) + "\n}"
    if isinstance(value, list | tuple) and value:
        return "[\n" + ",\n".join(f" {_dumped(each)}" for each in value) + "\n]"
    return _dumped(value)


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
