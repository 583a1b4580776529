"""One program of a data set: made from a seed, compiled, and tried on every context or a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, TypeAlias

import numpy as np

from handcraft.compiler import compile_program
from handcraft.compiler.text.show_pass import show_pass
from handcraft.errors import HandcraftError
from handcraft.language import Program, write_rules
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.random_programs import (
    Seeded,
    make_expression_program,
    make_pattern_program,
    make_prompts,
)
from handcraft.verify import verify

Kind: TypeAlias = Literal["patterns", "expressions"]

KINDS: tuple[Kind, ...] = ("patterns", "expressions")

EVERY_UP_TO = 20_000
"""A model is tried on all contexts if there are no more than this, else on a sample."""

EXAMPLES = 8
"""How many prompts of a program a record lists with their answers."""


@dataclass(frozen=True, eq=False)
class Record:
    """One program and its model.

    Args:
        number: of the candidate, from 0; refused candidates leave gaps.
        facts: the line of the shard, as plain data.
        tensors: the weights by name.
    """

    number: int
    facts: Mapping[str, Any]
    tensors: Mapping[str, Array]


@dataclass(frozen=True)
class Refused:
    """A candidate that did not become a record.

    Args:
        number: of the candidate.
        why: the class of the error.
    """

    number: int
    why: str


def make_program(seed: int, number: int) -> tuple[Kind, Program]:
    """The candidate with this number: patterns if it is even, else rules over expressions."""
    choosing = Seeded(f"program {number} of seed {seed}")
    kind = KINDS[number % 2]
    if kind == "patterns":
        return kind, make_pattern_program(
            choosing, tokens=(2, 6), context=(3, 8), max_rules=6, max_pattern=4
        )
    prompts = make_prompts(choosing, tokens=(2, 4), context=(2, 6))
    return kind, make_expression_program(choosing, prompts, max_rules=4, depth=3, distributions=False)


def make_record(
    seed: int, number: int, architecture: Literal["gpt2", "block"], sample: int
) -> Record | Refused:
    """Make, compile and try one candidate.

    Args:
        seed: of the data set.
        number: of the candidate.
        architecture: the target.
        sample: how many random contexts to try if there are too many to try all.

    Raises:
        AssertionError: a compiled model gives a wrong answer, which is a fault of the compiler.
    """
    kind, program = make_program(seed, number)
    try:
        compiled = compile_program(program, architecture=architecture, n_positions=program.context)
    except HandcraftError as error:
        return Refused(number, type(error).__name__)
    report = verify(compiled.model, program, every_up_to=EVERY_UP_TO, sample=sample, seed=seed)
    if report.failures:
        raise AssertionError(f"candidate {number} of seed {seed} is wrong after {report.failures[0]}")
    facts = {
        "number": number,
        "kind": kind,
        "vocabulary": list(program.vocabulary.tokens),
        "context": program.context,
        "architecture": architecture,
        "blocks": compiled.model.shape.n_layer,
        "heads": compiled.model.shape.n_head,
        "width": compiled.model.shape.n_embd,
        "parameters": compiled.model.parameters,
        "nonzero_parameters": compiled.model.nonzero_parameters,
        "rules": len(program.rules),
        "graph": show_pass(program, "as written"),
        "text": _rules_text(program),
        "python": repr(program),
        "tried": report.tried,
        "tried_all": report.is_exhaustive,
        "smallest_margin": report.margin,
        "examples": _examples(compiled.model, Seeded(f"examples {number} of seed {seed}")),
        "sha256": digest(compiled.model.tensors),
    }
    return Record(number, facts, compiled.model.tensors)


def _rules_text(program: Program) -> str | None:
    """The rules as a rule file; None where it cannot express them."""
    try:
        return write_rules(program)
    except HandcraftError:
        return None


def _examples(model: Model, choosing: Seeded) -> list[dict[str, str]]:
    """Random prompts with what the model answers."""
    vocabulary, longest = model.vocabulary, model.shape.n_positions
    listed: list[dict[str, str]] = []
    for _ in range(EXAMPLES):
        length = choosing.whole(1, longest)
        ids = [choosing.whole(0, len(vocabulary) - 1) for _ in range(length)]
        answer = int(model.forward([ids])[0, -1].argmax())
        listed.append({"prompt": vocabulary.text(ids), "answer": vocabulary.token(answer)})
    return listed


def digest(tensors: Mapping[str, Array]) -> str:
    """The SHA-256 of the names, shapes and little-endian numbers of some tensors, in their order."""
    found = sha256()
    for name, values in tensors.items():
        found.update(f"{name} {list(values.shape)}\n".encode())
        found.update(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()
