"""What would make a model provable: every change is tried before it is advised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from handcraft.compiler import compile_program
from handcraft.compiler.advice import promises
from handcraft.errors import HandcraftError
from handcraft.formats import save
from handcraft.formats.manifest.read_manifest import parse_manifest
from handcraft.language import Program
from handcraft.language.restated import Stated, with_context, with_tokens

SHORTEST = 2
"""The shortest context that is tried: what is proved of a single token says little."""

FEWEST = 2
"""The fewest tokens that an advised `inputs=` may allow."""


def what_is_provable(source: Program, options: Mapping[str, Any]) -> str:
    """The first change of a program or its options that is proved in seconds, as advice.

    Args:
        source: what is not proved as it is.
        options: with which it was compiled, as of `compile_program`.
    """
    tried = []
    for change, changed, others in _changes(source, options):
        if _is_proved(changed, {**options, **others}):
            return f"{change}, which is proved"
        tried.append(change)
    fewer = "allow fewer prompts with inputs=, or state with .assume() what they have in common"
    return f"{fewer}; tried, and not proved either: {', '.join(tried)}" if tried else fewer


def _changes(
    source: Program, options: Mapping[str, Any]
) -> Iterator[tuple[str, Program, dict[str, Any]]]:
    """Each change in words, and the program and the options with it."""
    if options.get("dtype", "float32") != "float32":
        yield "--dtype float32", source, {"dtype": "float32"}
    if options.get("optimize"):
        yield "leave out --optimize", source, {"optimize": False}
    for name in ("tokens", "positions"):
        if options.get(name, "auto") != "auto":
            yield f"--{name} auto", source, {name: "auto"}
    if options.get("tokens") != "binary":
        yield "--tokens binary", source, {"tokens": "binary"}
    for said, promised in promises(source):
        yield f"`{said}`", _program(promised), {}
    context = source.context // 2
    while context >= SHORTEST:
        try:
            shorter = with_context(source, context)
        except HandcraftError:
            break
        yield f"a context of {context}", _program(shorter), {"n_positions": None}
        context //= 2
    tokens = list(source.vocabulary.tokens)
    while FEWEST <= len(fewer := _without_some(source, tokens)) < len(tokens):
        tokens = fewer
        inputs, restricted = with_tokens(source, tokens)
        yield f"inputs={inputs!r}", _program(restricted), {}


def _program(stated: Stated) -> Program:
    assert isinstance(stated, Program)
    return stated


def _without_some(source: Program, tokens: Sequence[str]) -> list[str]:
    """About half of the tokens: the first ones, and those that every allowed prompt needs."""
    kept = list(tokens)
    for token in reversed(tokens):
        if len(kept) <= (len(tokens) + 1) // 2:
            break
        left = [each for each in kept if each != token]
        try:
            with_tokens(source, left)
        except HandcraftError:
            continue
        kept = left
    return kept


def _is_proved(source: Program, options: Mapping[str, Any]) -> bool:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        try:
            save(compile_program(source, **options), folder, proof="quick")
        except HandcraftError:
            return False
        proof = parse_manifest(folder).get("proof")
        return isinstance(proof, dict) and proof.get("verdict") == "proved"
