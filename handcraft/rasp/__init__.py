"""The names of Tracr's RASP library, with their published meaning.

A program is made of sequences ("s-ops") and selectors. `evaluate` computes its meaning in plain Python,
`build` turns it into expressions, and `compile` into weights.

>>> from handcraft import rasp
>>> from handcraft.rasp import Aggregate, Comparison, Select, indices, length, tokens
>>> reverse = Aggregate(Select(indices, length - indices - 1, Comparison.EQ), tokens)
>>> rasp.evaluate(reverse, "abc")
['c', 'b', 'a']
>>> rasp.build(reverse, vocabulary="abc", max_length=5).trace("abc")
['c', 'b', 'a']
"""

from typing import NoReturn

from handcraft.errors import ProgramError
from handcraft.language.graph.domain import Value
from handcraft.rasp.aggregate import Aggregate, SelectorWidth
from handcraft.rasp.compile_rasp import CompiledSequence, compile
from handcraft.rasp.lowering.build import BuiltSequence, build
from handcraft.rasp.published import (
    IndicesType,
    LengthType,
    NumericValue,
    Predicate,
    RASPExpr,
    SelectorValue,
    TokensType,
    get_encoding,
    is_categorical,
    is_numerical,
    selector_and,
    selector_not,
    selector_or,
    sop_not,
)
from handcraft.rasp.rasp_node import evaluate
from handcraft.rasp.selector import Comparison, Select, Selector, SelectorAnd, SelectorOr
from handcraft.rasp.sequence import (
    Encoding,
    Full,
    LinearSequenceMap,
    Map,
    SequenceMap,
    SOp,
    categorical,
    indices,
    length,
    numerical,
    tokens,
)

__all__ = [
    "Aggregate",
    "BuiltSequence",
    "Comparison",
    "CompiledSequence",
    "Encoding",
    "Full",
    "IndicesType",
    "LengthType",
    "LinearSequenceMap",
    "Map",
    "NumericValue",
    "Predicate",
    "RASPExpr",
    "SOp",
    "Select",
    "Selector",
    "SelectorAnd",
    "SelectorOr",
    "SelectorValue",
    "SelectorWidth",
    "SequenceMap",
    "TokensType",
    "Value",
    "build",
    "categorical",
    "compile",
    "evaluate",
    "get_encoding",
    "indices",
    "is_categorical",
    "is_numerical",
    "length",
    "numerical",
    "selector_and",
    "selector_not",
    "selector_or",
    "sop_not",
    "tokens",
]

_LEFT_OUT = {
    "ConstantSOp": "give one value with Full(value), or make values from tokens and indices",
    "ConstantSelector": "make it with Select from indices",
    "DefaultRASPEvaluator": "use rasp.evaluate(expression, inputs, causal=False)",
    "RASPEvaluator": "use rasp.evaluate(expression, inputs, causal=False)",
    "SelectorNot": "write ~selector",
    "annotate": "use .named(...), rasp.numerical or rasp.categorical",
}
"""Names of the published library that are not here, and what to use."""


def __getattr__(name: str) -> NoReturn:
    """Say what to use for a published name that is not here."""
    if name in _LEFT_OUT:
        raise ProgramError(f"handcraft.rasp has no {name}", fix=_LEFT_OUT[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
