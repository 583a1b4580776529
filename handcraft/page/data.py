"""The contents of a page as plain data: all that the page needs to run its model and to explain it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft.compiler.values.output import Output
from handcraft.compiler.values.value_model import ValueModel
from handcraft.language.graph.domain import Finite, Kind, Value, as_number, whole
from handcraft.limits import PAGE_WEIGHTS
from handcraft.model import AxisNames, BlockNames, Model, Shape
from handcraft.model.layers.rotary import frequencies
from handcraft.origin import Origin, Place
from handcraft.page.contents import Contents, Stored
from handcraft_check.program.contexts_in_words import contexts_in_words
from handcraft_check.program.meaning import Meaning

Data = dict[str, Any]

EXACT = 1 << 52
"""Whole numbers below it are numbers in JavaScript; float64 is exact up to twice that."""

CLAIM_NODES = 300
"""The most nodes of a program that a page also prints in words: about 20 kB."""


def page_data(contents: Contents) -> Data:
    """What `page.mjs` reads, as JSON can write it. The same contents give the same data.

    A tensor is stored sparsely: how far each weight that is not 0 lies behind the one before, counted
    row by row, and the place of its value in one list of all values.

    Raises:
        LimitError: the model has more weights than a page may have.
    """
    model = contents.model
    PAGE_WEIGHTS.check(
        model.nonzero_parameters,
        where=contents.known.name,
        fix=f"a page runs models of up to {PAGE_WEIGHTS.most:,} weights that are not 0; "
        "`handcraft run` and `handcraft explain` take larger ones",
    )
    values, tensors = _tensors(model)
    file = contents.source.name if contents.source else None
    served, lists = _served(contents.served)
    return {
        "title": contents.known.name,
        "architecture": _architecture(model),
        "dtype": model.dtype.name,
        "shape": _shape(model.shape),
        "begin": None
        if model.begin_id is None
        else {"id": model.begin_id, "name": model.token_name(model.begin_id)},
        "parameters": model.parameters,
        "tokens": list(model.vocabulary.tokens),
        "ids": list(model.vocabulary.numbers),
        "separator": model.vocabulary.separator,
        "values": values,
        "tensors": tensors,
        "origins": [_origin(origin, file) for origin in contents.origins],
        "lists": lists,
        "served": served,
        "names": _names(contents.known.names, contents.looks_at),
        "stored": [_stored(each) for each in contents.stored],
        "meaning": _meaning(contents, file),
        "rules": [_origin(each, file) for each in contents.rules],
        "source": None
        if contents.source is None
        else {"name": contents.source.name, "lines": list(contents.source.lines)},
        "proof": {"verdict": "unknown", "text": contents.why_no_proof}
        if contents.proof is None
        else {"verdict": contents.proof.verdict, "text": str(contents.proof)},
        "context": contents.context,
        "widens": contents.wide is not None,
        "seesLast": contents.sees_last,
        "outputs": None if contents.values is None else _outputs(contents.values, file),
        "claim": _claim(contents),
        "noMeaning": contents.why_no_meaning,
        "example": contents.example,
    }


def _architecture(model: Model) -> Data:
    """What the model computes; the frequencies of the rotation, where it has one, as NumPy has them."""
    architecture, shape = model.architecture, model.shape
    turns = None
    if architecture.theta is not None:
        turns = frequencies(shape.head_dim, architecture.theta, model.running_dtype).tolist()
    return {
        "name": architecture.name,
        "norm": architecture.norm,
        "epsilon": architecture.norm_epsilon,
        "activation": architecture.activation,
        "tied": architecture.tied,
        "causal": architecture.causal,
        "scales": [architecture.score_scale(shape.head_dim, b) for b in range(shape.n_layer)],
        "frequencies": turns,
        "window": architecture.window,
    }


def _shape(shape: Shape) -> Data:
    return {
        "n_vocab": shape.n_vocab,
        "n_positions": shape.n_positions,
        "n_embd": shape.n_embd,
        "n_head": shape.n_head,
        "n_kv_head": shape.kv_heads,
        "head_dim": shape.head_dim,
        "n_inner": list(shape.n_inner),
    }


def _tensors(model: Model) -> tuple[list[float], Data]:
    """Every value once, and for each tensor its sizes, the gaps and the places of its values."""
    filled = {name: np.flatnonzero(tensor) for name, tensor in model.tensors.items()}
    found = {name: model.tensors[name].ravel()[at] for name, at in filled.items()}
    parts = [part.astype(np.float64) for part in found.values()]
    values = np.unique(np.concatenate(parts))
    tensors = {
        name: {
            "shape": list(model.tensors[name].shape),
            "gaps": np.diff(at, prepend=0).tolist(),
            "which": np.searchsorted(values, found[name].astype(np.float64)).tolist(),
        }
        for name, at in filled.items()
    }
    return _short(values, model.running_dtype), tensors


def _short(values: npt.NDArray[np.float64], dtype: np.dtype[np.floating]) -> list[float]:
    """The shortest decimals that a browser rounds to the same numbers of the dtype."""
    short = [float(str(dtype.type(value))) for value in values]
    return [s if dtype.type(s) == v else float(v) for s, v in zip(short, values.tolist(), strict=True)]


def _served(runs: Mapping[str, Iterable[Any]]) -> tuple[Data, list[list[int]]]:
    """The runs of each tensor, each list of origins once."""
    lists: dict[tuple[int, ...], int] = {}
    served = {
        name: [[*run[:-1], lists.setdefault(tuple(run[-1]), len(lists))] for run in each]
        for name, each in runs.items()
    }
    return served, [list(each) for each in lists]


def _origin(origin: Origin, file: str | None) -> list[Any]:
    return [origin.what, *_place(origin.place, file)]


def _place(place: Place | None, file: str | None) -> list[Any]:
    """A place as text, and its line where it is in the file that is shown."""
    if place is None:
        return [None, None]
    return [place.short, place.line if place.short.rsplit(":", 2)[0] == file else None]


def _names(names: AxisNames | None, looks_at: Mapping[str, str]) -> Data | None:
    if names is None:
        return None
    blocks = [
        {
            "heads": [
                {
                    "name": head.name,
                    "looksAt": looks_at.get(head.name),
                    "matching": list(head.matching),
                    "carried": list(head.carried),
                }
                for head in block.heads
            ],
            "units": _units(block),
        }
        for block in names.blocks
    ]
    return {"stream": list(names.stream), "blocks": blocks}


def _units(block: BlockNames) -> list[str]:
    """The names of the hidden units, in order, up to the last one that has a name."""
    return [block.unit(i) for i in range(len(block.units) + block.constant_unit)]


def _stored(stored: Stored) -> Data:
    return {
        "name": stored.name,
        "encoding": stored.encoding,
        "first": stored.first,
        "width": stored.width,
        "signed": stored.is_signed,
        "small": stored.is_small,
        "values": None if stored.values is None else list(stored.values),
        "born": stored.born,
    }


def _outputs(values: ValueModel, file: str | None) -> list[Data]:
    """For each output how its number is read, and how a value is found that a number stands for."""
    return [_output(output, *values.sums[output.name], file) for output in values.outputs]


def _output(
    output: Output, terms: Iterable[tuple[int, float]], constant: float, file: str | None
) -> Data:
    domain = output.domain
    is_number, is_listed = domain.kind is Kind.NUMBER, isinstance(domain, Finite)
    values = domain.values if isinstance(domain, Finite) else ()
    place, line = _place(output.place, file)
    return {
        "name": output.name,
        "place": place,
        "line": line,
        "reads": [list(term) for term in terms],
        "constant": constant,
        "within": output.error_bound,
        "exact": output.is_distinguishable,
        "values": [_value(value) for value in values] if is_listed else None,
        "numbers": [float(as_number(value)) for value in values] if is_listed and is_number else None,
        "unit": None if isinstance(domain, Finite) else _value(domain.unit),
        "parts": None if isinstance(domain, Finite) else domain.parts,
    }


def _value(value: Value) -> Any:
    """A value as the page shows it: a flag, a number that stays exact, or text."""
    if isinstance(value, Fraction):
        value = whole(value)
    if isinstance(value, Fraction):
        return exact({"over": [value.numerator, value.denominator]})
    return exact(value) if isinstance(value, bool | int) else str(value)


def _claim(contents: Contents) -> str | None:
    """The allowed prompts and the program in words, as the checker prints them; None for a long one."""
    stated = contents.statement
    if stated is None or len(stated["meaning"]["nodes"]) > CLAIM_NODES:
        return None
    contexts = contexts_in_words(stated["contexts"], stated["vocabulary"])
    return f"{contexts}\n{Meaning.read(stated['meaning'], stated['vocabulary'])}"


def exact(stated: Any) -> Any:
    """A statement in which large whole numbers are texts, since JavaScript reads numbers as float64.

    >>> exact([3, {"over": [1, 2**60]}, -(2**60)])
    [3, {'over': [1, '1152921504606846976']}, {'over': ['-1152921504606846976', 1]}]
    """
    if isinstance(stated, dict):
        if "over" in stated:
            return {"over": [each if abs(each) < EXACT else str(each) for each in stated["over"]]}
        return {key: exact(value) for key, value in stated.items()}
    if isinstance(stated, list):
        return [exact(each) for each in stated]
    return {"over": [str(stated), 1]} if type(stated) is int and abs(stated) >= EXACT else stated


def _meaning(contents: Contents, file: str | None) -> Data | None:
    """The allowed prompts and the meaning as a certificate states them, and where nodes are written."""
    if contents.statement is None:
        return None
    lines: Sequence[int | None] = [_place(place, file)[1] for place in contents.places]
    return {
        "contexts": contents.statement["contexts"],
        **exact((contents.wide or contents.statement)["meaning"]),
        "lines": list(lines),
    }
