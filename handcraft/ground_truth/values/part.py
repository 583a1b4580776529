"""values.json: where every named value is stored in the residual stream, and its codewords."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from handcraft.circuits.number import Plain
from handcraft.display import count
from handcraft.ground_truth.disguised import Disguised
from handcraft.ground_truth.json_file import json_bytes
from handcraft.ground_truth.part import Made, Part, Wanted
from handcraft.ground_truth.subject import LaidOut
from handcraft.ground_truth.values.locate_in_disguise import locate_in_disguise
from handcraft.ground_truth.values.located import Located, locate, state_name
from handcraft.language.graph.domain import json_value

FILE = "values.json"


def make_values(subject: LaidOut, wanted: Wanted) -> Made:
    """The values of a model, as data."""
    left_out: dict[str, str] = {}
    if isinstance(subject, Disguised):
        values, left_out = locate_in_disguise(subject, texts=wanted.examples, seed=wanted.seed)
    else:
        values = locate(subject, texts=wanted.examples, seed=wanted.seed)
    known = [value for value in values if value.codewords is not None]
    data = {
        "states": [state_name(subject, s) for s in range(2 * len(subject.circuits.blocks) + 1)],
        "n_embd": subject.model.shape.n_embd,
        "values": [_data(value) for value in values],
    }
    summary: dict[str, object] = {"values": len(values), "with_codewords": len(known)}
    if left_out:
        summary["left_out"] = left_out
    line = f"{count(len(values), 'value')} located, {len(known)} of them with codewords"
    return Made({FILE: json_bytes(data)}, summary, (line,))


def _data(value: Located) -> dict[str, object]:
    """One value as plain data."""
    origin = value.origin
    place = None if origin is None or origin.place is None else origin.place.short
    return {
        "name": value.name,
        "origin": None if origin is None else {"what": origin.what, "place": place},
        "encoding": list(value.encodings),
        "numbers": [
            {
                "name": name,
                "reads": [
                    [int(dimension), float(value.matrix[dimension, i])]
                    for dimension in np.flatnonzero(value.matrix[:, i])
                ],
                "constant": float(value.constant[i]),
            }
            for i, name in enumerate(value.dimensions)
        ],
        "states": list(value.states),
        "written": value.written,
        "read": value.read,
        "codewords": None
        if value.codewords is None
        else [[json_value(each), [*map(_number, word)]] for each, word in value.codewords.items()],
        "seen": value.seen,
    }


def _number(number: Plain) -> int | float | str:
    """An exact number: a fraction that no float equals is text, as 1/3."""
    if isinstance(number, int):
        return number
    exact = Fraction(number)
    return float(exact) if Fraction(float(exact)) == exact else str(exact)


PART = Part("values", "where every value is stored", (FILE,), make_values)
