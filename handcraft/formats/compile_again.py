"""Compile the contents of a folder again, for another architecture, dtype or size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handcraft.architecture import GPT2, Architecture, architecture_named
from handcraft.circuits import Circuits
from handcraft.compiler import Compiled, compile_program
from handcraft.formats.checkpoint import Checkpoint


def compile_again(
    checkpoint: Checkpoint, *, architecture: Architecture | str = GPT2, **options: Any
) -> Compiled:
    """Compile the rules, or the circuits, that are stored in a folder.

    The mask of the target is that of the circuits; the other options are those of `compile_program`.

    Returns:
        The model. `save(..., again=checkpoint)` writes it with the prompt grammar of the folder.
    """
    source = checkpoint.source
    target = architecture_named(architecture) if isinstance(architecture, str) else architecture
    if isinstance(source, Circuits):
        if not source.causal:
            target = target.without_mask()
        compiled = compile_program(source, architecture=target, **options)
        return replace(compiled, written=checkpoint.manifest.written)
    return compile_program(source, architecture=target, **options)
