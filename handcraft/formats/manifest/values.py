"""The outputs of a folder that contains a model of values: checked, read, and bounded again."""

from __future__ import annotations

from dataclasses import replace

from handcraft.circuits import Circuits, Encoding, Number, Subspace
from handcraft.compiler import Compiled, CompiledSequences
from handcraft.compiler.values.error_bound import bound_errors
from handcraft.compiler.values.finished import Finished, read_error
from handcraft.compiler.values.output import Output
from handcraft.compiler.values.value_model import ValueModel
from handcraft.display import shorten_value
from handcraft.formats.manifest.manifest import Manifest, Spans
from handcraft.model import Model
from handcraft.weights.layout import Cells


def spans_of(compiled: CompiledSequences) -> Spans:
    """The range of each dimension, for the error bound when a folder is compiled again."""
    spans = compiled.places.spans(negative=True)
    return tuple((subspace, i, low, high) for (subspace, i), (low, high) in spans.items())


def read_values(manifest: Manifest, model: Model, source: object) -> ValueModel | None:
    """The model with how its values are read; None of a model that predicts tokens."""
    outputs = manifest.outputs
    if not outputs:
        return None
    if not isinstance(source, Circuits):
        raise ValueError("outputs, and no circuits that compute them")
    if len({output.name for output in outputs}) < len(outputs):
        raise ValueError("two outputs with one name")
    first = {row.subspace: row.first for row in manifest.layout}

    def read(subspace: Subspace, i: int, number: Number) -> tuple[Cells, Number]:
        return ((first[subspace.name] + i, number),), 0

    stream = frozenset(source.stream)
    for output in outputs:
        places = [(part.subspace, i) for part in output.reads for i, _ in part.entries]
        for subspace, i in places:
            name = f"{shorten_value(output.name)} reads {shorten_value(subspace.name)}"
            if subspace.encoding not in (Encoding.SCALAR, Encoding.ONE_HOT) or subspace not in stream:
                raise ValueError(f"{name}, which stores no value")
            if not (0 <= i < subspace.width and 0 <= first[subspace.name] + i < model.shape.n_embd):
                raise ValueError(f"{name} at {i}")
        if len(set(places)) < len(places):
            raise ValueError(f"{shorten_value(output.name)} reads one number twice")
    return ValueModel(model, outputs, source.context, read)


def bounded_again(manifest: Manifest, compiled: Compiled) -> tuple[Output, ...]:
    """The outputs of a folder, with the error bound of a model that its circuits were compiled to.

    Raises:
        PrecisionError: the error bound no longer distinguishes two values. An output whose values were
            not distinguishable before may have an error bound as large as it had.
    """
    plan, dtype = compiled.plan, compiled.model.dtype.name
    spans = {(subspace, i): (low, high) for subspace, i, low, high in manifest.spans}
    tensors = dict(compiled.model.tensors)
    error = bound_errors(Finished(plan, compiled.placement, tensors, spans, dtype))
    found = tuple(
        replace(each, error_bound=read_error(each.reads, plan, error)) for each in manifest.outputs
    )
    for before, after in zip(manifest.outputs, found, strict=True):
        after.check(dtype, 0 if before.is_distinguishable else before.error_bound)
    return found
