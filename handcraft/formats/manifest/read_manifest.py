"""From the file handcraft.json to its dataclasses, and to what these describe."""

from __future__ import annotations

import warnings
from dataclasses import replace
from math import inf
from pathlib import Path

from handcraft.architecture import Architecture, architecture_named
from handcraft.circuits import Circuits
from handcraft.display import shorten_value
from handcraft.dtype import FLOAT64
from handcraft.errors import CheckpointError, HandcraftWarning
from handcraft.formats.folder import MANIFEST
from handcraft.formats.foreign_files import (
    PARSED,
    check_folder,
    contradiction,
    find_file,
    parse_object,
    shown_text,
)
from handcraft.formats.manifest.convert import Data, Tables, strict
from handcraft.formats.manifest.manifest import VERSION, Manifest, RulesSource
from handcraft.language import Program, Prompts, Rule
from handcraft.limits import BLOCKS, check_memory
from handcraft.model import Shape
from handcraft.origin import Origin
from handcraft.vocabulary import Vocabulary


def parse_manifest(folder: Path) -> Data:
    """The JSON object in handcraft.json.

    Raises:
        CheckpointError: it is missing, damaged, or of another version.
    """
    path = folder / MANIFEST
    check_folder(folder, "`handcraft compile`")
    if find_file(folder, MANIFEST) is None:
        raise CheckpointError(
            f"the folder has no {MANIFEST}",
            where=folder,
            fix="name a folder that `handcraft compile` wrote",
        )
    try:
        size = path.stat().st_size
        check_memory(size * PARSED, f"{MANIFEST} of {size:,} bytes", where=path)
        data = parse_object(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise contradiction(f"{MANIFEST} cannot be read: {shown_text(error)}", path) from error
    version = data.get("handcraft")
    if type(version) is not int or version != VERSION:
        raise CheckpointError(
            f"{MANIFEST} is of version {shorten_value(version)}",
            where=path,
            fix=f"this handcraft reads version {VERSION}; compile the program again",
        )
    return data


def read_manifest(data: Data) -> tuple[Manifest, tuple[Origin, ...]]:
    """What handcraft.json says, and the origins that it refers to by number."""
    tables = Tables()
    tables.read_tables(data)
    manifest = tables.read(data, Manifest)
    if manifest.facts is not None and not 0 <= manifest.facts.texts < FLOAT64.whole:
        raise ValueError(f"facts.texts: {shorten_value(manifest.facts.texts)}")
    return manifest, tables.origins


def read_architecture(facts: Data, *, disguised: bool = False) -> Architecture:
    """The named architecture, without its mask where the manifest says so.

    Only a Llama, or what was disguised, may have an unembedding of its own.
    """
    architecture = architecture_named(strict(facts.get("name"), str, "architecture.name"))
    is_causal = strict(facts.get("causal"), bool, "architecture.causal")
    if disguised or architecture.is_rotary:
        architecture = replace(architecture, tied=strict(facts.get("tied"), bool, "architecture.tied"))
    if architecture.is_rotary:
        architecture = _rotary(architecture, facts)
    return architecture if is_causal else architecture.without_mask()


def _rotary(architecture: Architecture, facts: Data) -> Architecture:
    """A rotary architecture with the norm, the frequencies and the window that the manifest states."""
    epsilon = strict(facts.get("norm_epsilon"), float, "architecture.norm_epsilon")
    theta = strict(facts.get("theta"), float, "architecture.theta")
    window = facts.get("window")
    if not 0 <= epsilon <= 1:
        raise ValueError(f"architecture.norm_epsilon: {shorten_value(epsilon)}")
    if not 0 < theta < inf:
        raise ValueError(f"architecture.theta: {shorten_value(theta)}")
    if window is not None and strict(window, int, "architecture.window") < 1:
        raise ValueError(f"architecture.window: {shorten_value(window)}")
    return replace(architecture, norm_epsilon=epsilon, theta=theta, window=window)


def check_shape(shape: Shape, vocabulary: Vocabulary) -> None:
    """Raise unless a model can have these sizes."""
    counts = (shape.n_vocab, shape.n_positions, shape.n_embd, shape.n_head)
    if min(counts) < 1:
        raise ValueError(f"sizes {shorten_value(counts)}")
    if shape.n_layer > BLOCKS.most:
        raise ValueError(f"{shape.n_layer:,} blocks; the limit is {BLOCKS.most:,}")
    if min(shape.n_inner, default=0) < 0:
        raise ValueError(f"n_inner {shorten_value(shape.n_inner)}")
    if shape.n_embd % shape.n_head:
        raise ValueError(f"{shape.n_embd} dimensions do not make {shape.n_head} equal heads")
    if shape.kv_heads < 1 or shape.n_head % shape.kv_heads:
        raise ValueError(f"{shape.n_head} heads do not make groups for {shape.n_kv_head} keys")
    if shape.own_head_dim is not None and shape.own_head_dim < 1:
        raise ValueError(f"heads of {shape.own_head_dim}")
    if not 0 <= min(vocabulary.numbers) <= max(vocabulary.numbers) < shape.n_vocab:
        raise ValueError(f"token ids up to {max(vocabulary.numbers)} for n_vocab {shape.n_vocab}")
    if len(set(vocabulary.numbers)) != len(vocabulary):
        raise ValueError("two tokens have the same id")


def read_source(manifest: Manifest) -> Program | Circuits:
    """The rules, or the circuits; no code is run."""
    source = manifest.source
    if not isinstance(source, RulesSource):
        return source.circuits
    rules = [Rule(rule.predict, rule.after, rule.place) for rule in source.rules]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # shown when it was compiled
        return Program(Vocabulary(manifest.vocabulary), source.context, rules)


def read_prompts(manifest: Manifest, *, as_far_as_known: bool = False) -> Prompts | None:
    """The allowed prompts of a program whose rules were expressions; None for any text.

    With `as_far_as_known`, what Python code says is left out.

    Raises:
        CheckpointError: Python code says which are.
    """
    grammar, source = manifest.grammar, manifest.source
    if grammar is None or (grammar.inputs, grammar.bos, grammar.by_code) == (None, None, False):
        return None
    if grammar.by_code and not as_far_as_known:
        raise CheckpointError(
            "a Hypothesis strategy decides which prompts are allowed, and a folder contains no code",
            fix="verify the program that it was compiled from",
        )
    assert not isinstance(source, RulesSource)
    return Prompts(
        source.circuits.vocabulary,
        source.circuits.context,
        inputs=grammar.inputs,
        bos=grammar.bos,
        writes=grammar.writes,
    )
