"""What handcraft.json says of values that a model computes: what they can be, and how they are read.

Everything that is read back is checked: nothing of it is run, and no number is taken for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import inf, isfinite
from typing import Any

from handcraft.circuits import Circuits, Coefficients, Encoding, Number, Subspace
from handcraft.compiler import Compiled, CompiledSequences
from handcraft.compiler.sequences.error_bound import Finished, bound_errors, read_off
from handcraft.compiler.sequences.output import Output
from handcraft.compiler.sequences.value_model import Read, ValueModel
from handcraft.display import shorten_value
from handcraft.formats.circuits_record import read_number, read_place
from handcraft.formats.foreign_files import whole
from handcraft.language.sequences.domain import (
    VALUES_UP_TO,
    Domain,
    Finite,
    Kind,
    Plain,
    Range,
    Value,
    check_number,
)
from handcraft.model import Model

Record = dict[str, Any]
Spans = Mapping[tuple[Subspace, int], tuple[Plain, Plain]]


def outputs_to_record(outputs: Iterable[Output]) -> list[Record]:
    """For every output its values, and the sum over the residual stream that stands for one of them."""
    return [
        {
            "name": output.name,
            **_domain_to_record(output.domain),
            "constant": _shown(output.constant),
            "reads": [
                [part.subspace.name, i, _shown(number)]
                for part in output.reads
                for i, number in part.entries
            ],
            "off": output.off if isfinite(output.off) else None,
            "place": output.place.short if output.place else None,
        }
        for output in outputs
    ]


def spans_to_record(spans: Spans) -> list[list[Any]]:
    """The least and the greatest number of every dimension, by subspace."""
    return [[s.name, i, _shown(low), _shown(high)] for (s, i), (low, high) in spans.items()]


def spans_of(compiled: CompiledSequences) -> list[list[Any]]:
    """The same of expressions: with them a folder is bounded again when it is compiled again."""
    return spans_to_record(compiled.places.spans(negative=True))


def _domain_to_record(domain: Domain) -> Record:
    if isinstance(domain, Range):
        ends = {"low": _shown(domain.low), "high": _shown(domain.high)}
        return {"kind": "number", **ends, "unit": _shown(domain.unit), "parts": domain.parts}
    return {"kind": domain.kind.value, "values": [_value_shown(v) for v in domain.values]}


def _value_shown(value: Value) -> object:
    """A flag as it is, a number as JSON has it or p/q, a label as text."""
    if isinstance(value, bool | int):
        return value
    return str(value)


def _shown(number: Plain) -> int | str:
    return number if isinstance(number, int) else str(number)


def read_outputs(record: Record, source: object) -> tuple[Output, ...]:
    """The outputs that a record describes; none of a model that predicts tokens.

    Args:
        record: all of handcraft.json.
        source: the circuits.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: it has another form.
        HandcraftError: a number is too large.
    """
    listed = record.get("outputs", [])
    if not isinstance(listed, list):
        raise ValueError(f"outputs {shorten_value(listed)}")
    if not listed:
        return ()
    if not isinstance(source, Circuits):
        raise ValueError("outputs, and no circuits that compute them")
    subspaces = _by_name(source)
    found = tuple(_read_output(each, subspaces) for each in listed)
    if len({output.name for output in found}) < len(found):
        raise ValueError("two outputs with one name")
    return found


def _by_name(circuits: Circuits) -> dict[str, Subspace]:
    found = {subspace.name: subspace for subspace in circuits.stream}
    if len(found) < len(circuits.stream):
        raise ValueError("outputs, and two subspaces with one name")
    return found


def _read_output(record: Record, subspaces: Mapping[str, Subspace]) -> Output:
    name = record["name"]
    if not isinstance(name, str):
        raise ValueError(f"an output is called {shorten_value(name)}")
    reads: dict[Subspace, dict[int, Plain]] = {}
    for subspace, i, number in record["reads"]:
        if subspaces[subspace].encoding not in (Encoding.SCALAR, Encoding.ONE_HOT):
            raise ValueError(
                f"{shorten_value(name)} reads {shorten_value(subspace)}, which stores no value"
            )
        row = reads.setdefault(subspaces[subspace], {})
        if not 0 <= whole(i) < subspaces[subspace].width or i in row:
            raise ValueError(f"{shorten_value(name)} reads number {i} of {shorten_value(subspace)}")
        row[i] = _number(number)
    parts = tuple(Coefficients(s, tuple(sorted(row.items()))) for s, row in reads.items())
    off = record["off"]
    if off is not None and (type(off) not in (int, float) or not 0 <= off < inf):
        raise ValueError(f"{shorten_value(name)} has an error bound of {shorten_value(off)}")
    return Output(
        name,
        _read_domain(record),
        parts,
        _number(record["constant"]),
        off=inf if off is None else float(off),
        place=read_place(record["place"]),
    )


def _read_domain(record: Record) -> Domain:
    kind = Kind(record["kind"])
    if "values" not in record:
        if kind is not Kind.NUMBER:
            raise ValueError(f"{kind.value} without its values")
        low, high = _number(record["low"]), _number(record["high"])
        if low > high:
            raise ValueError(f"numbers from {shorten_value(low)} to {shorten_value(high)}")
        unit, parts = Fraction(_number(record["unit"])), whole(record["parts"])
        if unit <= 0 or parts < 1:
            raise ValueError(f"unit {shorten_value(unit)} and parts {shorten_value(parts)}")
        return Range(low, high, unit, parts)
    listed = record["values"]
    if not isinstance(listed, list) or not 0 < len(listed) <= VALUES_UP_TO:
        raise ValueError(f"values {shorten_value(listed)}")
    if kind is not Kind.NUMBER:
        wanted = bool if kind is Kind.FLAG else str
        if not all(type(value) is wanted for value in listed):
            raise ValueError(f"values of the kind {kind.value} {shorten_value(listed)}")
        if kind is Kind.FLAG and listed != sorted(set(listed)):
            raise ValueError(f"flags {shorten_value(listed)}")
        return Finite(kind, tuple(listed))
    numbers = [_number(value) for value in listed]
    if any(low >= high for low, high in pairwise(numbers)):
        raise ValueError(f"numbers out of order {shorten_value(listed)}")
    return Finite(kind, tuple(numbers))


def _number(value: object) -> Plain:
    number = read_number(value)
    check_number(number)
    float(number)  # raises where it is none
    return number.numerator if number.denominator == 1 else number


def read_values(record: Record, outputs: tuple[Output, ...], model: Model, context: int) -> ValueModel:
    """The model with how its values are read.

    Args:
        record: all of handcraft.json.
        outputs: as `read_outputs` gave them.
        model: the model.
        context: the most tokens of a text.

    Raises:
        KeyError, TypeError, ValueError: the record has another form.
    """
    read = _read_of(record["layout"])
    found = ValueModel(model, outputs, context, read)
    for output in outputs:
        for part in output.reads:
            for i, number in part.entries:
                dimension = read(part.subspace, i, number)[0]
                if not 0 <= dimension < model.shape.n_embd:
                    raise ValueError(f"{shorten_value(output.name)} is read from dimension {dimension}")
    return found


def _read_of(rows: Iterable[Record]) -> Read:
    """As `Layout.read`, from the rows of handcraft.json, for scalars and one-hot subspaces."""
    first = {row["subspace"]: whole(row["first"]) for row in rows}

    def read(subspace: Subspace, i: int, number: Number) -> tuple[int, Number, Number]:
        return first[subspace.name] + i, number, 0

    return read


def bounded_again(
    outputs: tuple[Output, ...], record: Record, compiled: Compiled
) -> tuple[Output, ...]:
    """The outputs of a folder, with the error bound of a model that its circuits were compiled to.

    Args:
        outputs: as the folder says.
        record: all of its handcraft.json.
        compiled: the new model.

    Raises:
        PrecisionError: a value may be told wrong; numbers that were not told apart before may be off
            by as much as they were.
        KeyError, TypeError, ValueError: the record has another form.
    """
    circuits, plan, dtype = compiled.circuits, compiled.plan, compiled.model.dtype.name
    subspaces = _by_name(circuits)
    spans: dict[tuple[Subspace, int], tuple[Plain, Plain]] = {}
    for name, i, low, high in record["spans"]:
        spans[subspaces[name], whole(i)] = (_number(low), _number(high))
    tensors = dict(compiled.model.tensors)
    off = bound_errors(Finished(plan, compiled.placement, tensors, spans, dtype))
    found = tuple(replace(each, off=read_off(each.reads, plan, off)) for each in outputs)
    for before, after in zip(outputs, found, strict=True):
        after.check(dtype, 0 if before.is_told else before.off)
    return found
