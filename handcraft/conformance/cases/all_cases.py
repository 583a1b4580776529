"""All models and all cases of a pack."""

from __future__ import annotations

from dataclasses import dataclass

from handcraft.conformance.cases.llamas import llama_cases
from handcraft.conformance.cases.networks import network_cases
from handcraft.conformance.cases.planned import Planned
from handcraft.conformance.cases.positions import position_cases
from handcraft.conformance.cases.programs import program_cases
from handcraft.conformance.cases.slots import slot_cases
from handcraft.conformance.models.activation import activation
from handcraft.conformance.models.beams import beams
from handcraft.conformance.models.compiled import LLAMA_PROGRAMS, PROGRAMS, compiled, compiled_llama
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.conformance.models.hops import hops
from handcraft.conformance.models.llama.frequencies import frequencies
from handcraft.conformance.models.llama.gauges import llama_activation, llama_norm, llama_scale
from handcraft.conformance.models.llama.groups import SIZES, groups
from handcraft.conformance.models.llama.rope import rope
from handcraft.conformance.models.llama.window import SIZES as WINDOWS
from handcraft.conformance.models.llama.window import window
from handcraft.conformance.models.norms import centring, epsilon
from handcraft.conformance.models.position import position
from handcraft.conformance.models.recall import recall
from handcraft.conformance.models.scale import scale
from handcraft.conformance.models.untied import untied


@dataclass(frozen=True)
class Contents:
    """What a pack is made from: its models by name, and its cases."""

    models: dict[str, Diagnostic]
    cases: tuple[Planned, ...]


def contents() -> Contents:
    """Every model and every case of a pack."""
    rope_model, rope_prompt = rope()
    listed = (
        *(compiled(name) for name in PROGRAMS),
        beams(),
        position(),
        recall(),
        hops(),
        scale(),
        activation(),
        epsilon("1"),
        epsilon("2"),
        epsilon("f"),
        centring(),
        untied(),
        *(compiled_llama(name) for name in LLAMA_PROGRAMS),
        rope_model,
        *(groups(*sizes) for sizes in SIZES),
        *(window(name) for name in WINDOWS),
        llama_scale(),
        llama_activation(),
        llama_norm(),
        frequencies(),
    )
    models = {model.name: model for model in listed}
    cases = (
        *program_cases(),
        *position_cases(),
        *slot_cases(),
        *network_cases(),
        *llama_cases(models, rope_prompt),
    )
    return Contents(models, cases)
