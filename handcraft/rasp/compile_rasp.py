"""From a RASP program to a transformer that computes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from handcraft.architecture import Architecture
from handcraft.compiler.compile_report import CompileReport
from handcraft.compiler.values.compile_sequences import compile_sequences
from handcraft.compiler.values.compiled_sequences import CompiledSequences
from handcraft.dtype import DTypeName
from handcraft.language.graph.domain import Value
from handcraft.language.written.written_place import written_place
from handcraft.rasp.lowering.build import BuiltSequence, build, merged
from handcraft.rasp.sequence import SOp
from handcraft.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class CompiledSequence:
    """A RASP program and the model that computes it."""

    built: BuiltSequence
    compiled: CompiledSequences

    def apply(self, inputs: Sequence[Any]) -> list[Any]:
        """What the model computes.

        Args:
            inputs: one input, a sequence of tokens; or a batch, inputs of one length or of
                several. An input may be padded with None at its end.

        Returns:
            The value at every position, None where there is none or no token; of a batch,
            that for each input.

        Raises:
            HandcraftError: a token that is not in the vocabulary; an input that is empty or too long.
        """
        listed: list[Any] = list(inputs.tolist() if hasattr(inputs, "tolist") else inputs)
        if listed and all(isinstance(e, Sequence) and not isinstance(e, str) for e in listed):
            rows = [list(row) for row in listed]
            names = [f"input {place}" for place in range(len(rows))]
            return self._apply(rows, names)
        found: list[Value] = self._apply([listed], [""])[0]
        return found

    def _apply(self, rows: list[list[Any]], names: list[str]) -> list[list[Value]]:
        alphabet = self.built.alphabet
        texts = [alphabet.spell(_unpadded(row), name) for row, name in zip(rows, names, strict=True)]
        found = self.compiled.apply(texts)
        presence = found.get("present", [None] * len(rows))
        values = [merged(*pair) for pair in zip(found["value"], presence, strict=True)]
        return [
            known + [None] * (len(row) - len(known)) for row, known in zip(rows, values, strict=True)
        ]

    def report(self) -> CompileReport:
        """What the model is made of, and what each pass saved."""
        return self.compiled.report()


def _unpadded(row: list[Any]) -> list[Any]:
    """An input without the padding at its end."""
    kept = len(row)
    while kept and row[kept - 1] is None:
        kept -= 1
    return row[:kept]


def compile(
    expression: SOp,
    vocabulary: Vocabulary | Iterable[object],
    max_length: int,
    causal: bool = False,
    architecture: Literal["gpt2", "block"] | Architecture = "block",
    dtype: DTypeName = "float32",
    tolerance: float = 0,
) -> CompiledSequence:
    """Compile a RASP program to a transformer that computes it at every position.

    Args:
        expression: the sequence.
        vocabulary: the tokens, all strings or all numbers.
        max_length: the most tokens of an input.
        causal: whether a position sees only itself and earlier ones.
        architecture: the target.
        dtype: of the weights.
        tolerance: the largest error of a number; what the weights cannot distinguish is a float.

    Raises:
        HandcraftError: something does not fit; it names the place, and a fix.

    >>> from handcraft.rasp import Comparison, Select, SelectorWidth, tokens
    >>> hist = SelectorWidth(Select(tokens, tokens, Comparison.EQ))
    >>> model = compile(hist, vocabulary="abc", max_length=5)
    >>> model.apply("abac"[:3]), model.apply([["a", "a"], ["b", "a", "b"]])
    ([2, 1, 2], [[2, 2], [2, 1, 2]])
    """
    built = build(expression, vocabulary, max_length, causal, place=written_place())
    compiled = compile_sequences(
        built.outputs, architecture=architecture, dtype=dtype, tolerance=tolerance
    )
    return CompiledSequence(built, compiled)
