"""One prediction explained, as data: rules, values, heads, neurons, and what adds up to the logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from handcraft.architecture import Norm
from handcraft.language.graph.domain import Value, json_value
from handcraft.language.judged import Outcome
from handcraft.origin import Origin

Kind: TypeAlias = Literal["embedding", "position", "head", "neuron", "bias", "rounding"]
"""What adds to the logits: the token embedding, the position embedding, a head, a neuron, a bias of a
block or of ln_f; or the difference that the model's rounding makes."""

FORMAT = 1
"""The version of the JSON, which docs/explain.schema.json describes."""


@dataclass(frozen=True)
class NamedValue:
    """The value of an expression at every position.

    Args:
        origin: its name, and where it was written.
        definition: how it is written, where it has a name; None where the name is all.
        values: one for each position.
    """

    origin: Origin
    definition: str | None
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Source:
    """A position that a head attends to.

    Args:
        position: of the source, from 0; -1 for the begin token.
        token: the token there.
        weight: the attention weight, from 0 to 1.
        keys: the values there that decide where the head attends, by name.
    """

    position: int
    token: str
    weight: float
    keys: Mapping[str, Value]


@dataclass(frozen=True)
class Look:
    """Where a head attends from one position.

    Args:
        position: of the destination, from 0.
        token: the token there.
        queries: the values there that decide where the head attends, by name.
        sources: the positions it attends to, those with the largest weights first.
        others: how many further positions have a weight that is not 0.
        is_used: whether the answer can depend on it: it is the last position, or a later head reads it.
        is_empty: whether no source satisfies the condition of the head, which must attend somewhere;
            False where that is not known.
    """

    position: int
    token: str
    queries: Mapping[str, Value]
    sources: tuple[Source, ...]
    others: int
    is_used: bool
    is_empty: bool = False


@dataclass(frozen=True)
class HeadUse:
    """What one head does on the prompt.

    Args:
        block: its block, from 0.
        head: its number in the block, from 0.
        name: the value that it moves.
        attends: the condition by which it attends.
        serves: the rules and values that it serves.
        looks: where it attends, from each position.
    """

    block: int
    head: int
    name: str
    attends: str
    serves: tuple[Origin, ...]
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class NeuronUse:
    """A neuron that fires at the last position.

    Args:
        block: its block, from 0.
        units: its hidden units; two of them make a step with GELU.
        name: what it is called.
        pre_activation: the sum that its first unit compares with 0.
        hidden: the output of each unit.
        serves: the rules and values that it serves.
    """

    block: int
    units: tuple[int, ...]
    name: str
    pre_activation: float
    hidden: tuple[float, ...]
    serves: tuple[Origin, ...]


@dataclass(frozen=True)
class Part:
    """What one part of the model adds to each logit at the last position.

    Args:
        kind: what it is.
        name: what it is called.
        block: its block; None for the embeddings, ln_f and rounding.
        index: the head, or the first hidden unit; None for the others.
        serves: the rules and values that it serves.
        logits: what it adds to the logit of each of `Explanation.answers`.
    """

    kind: Kind
    name: str
    block: int | None
    index: int | None
    serves: tuple[Origin, ...]
    logits: tuple[float, ...]


@dataclass(frozen=True)
class Share:
    """What all parts that serve the same rules and values add to each logit together."""

    serves: tuple[Origin, ...]
    logits: tuple[float, ...]


@dataclass(frozen=True)
class Explanation:
    """Why a model answers what it answers, on one prompt.

    Args:
        tokens: the prompt.
        answers: the tokens whose logits are listed: all of a small vocabulary, else the highest.
        logits: the logit of each at the last position; none for a model that computes values.
        answer: the token with the highest logit.
        runner_up: the token with the second highest.
        margin: by how much the highest logit exceeds the second.
        meant: what the program means there; None where that is not known.
        rules: what becomes of each rule.
        values: the values of the program, under their names.
        heads: where the heads attend.
        neurons: the neurons that fire at the last position.
        parts: what adds up to the logits, each part of the model by itself.
        shares: the same sums, of the parts that serve the same.
        scale: the factor of the last norm that is kept as it is on this prompt: 1 over the standard
            deviation of the stream, or with RMSNorm over its root mean square; None without a norm.
        norm: which norm that is.
        bound: how far the rounding of the model can move each logit.
        notes: what could not be said, and why.
        separator: what is between two tokens in text: nothing where all are single characters.
    """

    tokens: tuple[str, ...]
    answers: tuple[str, ...]
    logits: tuple[float, ...]
    answer: str | None
    runner_up: str | None
    margin: float | None
    meant: str | None
    rules: tuple[Outcome, ...]
    values: tuple[NamedValue, ...]
    heads: tuple[HeadUse, ...]
    neurons: tuple[NeuronUse, ...]
    parts: tuple[Part, ...]
    shares: tuple[Share, ...]
    scale: float | None
    norm: Norm
    bound: tuple[float, ...]
    notes: tuple[str, ...] = field(default=())
    separator: str = " "

    def to_json(self) -> dict[str, Any]:
        """The explanation as plain data; docs/explain.schema.json describes it."""
        plain = replace(
            self,
            rules=tuple(
                replace(
                    rule,
                    conditions=tuple(
                        replace(each, reads=_plain(each.reads)) for each in rule.conditions
                    ),
                )
                for rule in self.rules
            ),
            values=tuple(
                replace(each, values=tuple(map(json_value, each.values))) for each in self.values
            ),
            heads=tuple(
                replace(head, looks=tuple(map(_plain_look, head.looks))) for head in self.heads
            ),
        )
        return {"format": FORMAT, **asdict(plain)}

    def to_markdown(self) -> str:
        """The explanation as Markdown."""
        from handcraft.explain.write_markdown import write_markdown

        return write_markdown(self)

    def to_html(self) -> str:
        """The explanation as one HTML element, without scripts or style sheets."""
        from handcraft.explain.write_html import write_html

        return write_html(self)

    def __str__(self) -> str:
        from handcraft.explain.write_text import write_text

        return write_text(self)

    def __repr__(self) -> str:
        prompt = self.separator.join(self.tokens)
        answer = "values" if self.answer is None else f"{self.answer!r}, margin {self.margin:g}"
        return f"<explanation of {prompt!r}: {answer}>"

    def _repr_html_(self) -> str:
        """The explanation for notebooks."""
        return self.to_html()


def _plain(values: Mapping[str, Value]) -> dict[str, Value]:
    """Named values as JSON has them."""
    return {name: json_value(value) for name, value in values.items()}


def _plain_look(look: Look) -> Look:
    sources = tuple(replace(each, keys=_plain(each.keys)) for each in look.sources)
    return replace(look, queries=_plain(look.queries), sources=sources)
