"""All models and cases of a pack."""

from __future__ import annotations

from collections.abc import Iterator

from handcraft.conformance.cases.networks import network_cases
from handcraft.conformance.cases.planned import Planned
from handcraft.conformance.cases.positions import position_cases
from handcraft.conformance.cases.programs import program_cases
from handcraft.conformance.cases.slots import slot_cases
from handcraft.conformance.models.activation import activation
from handcraft.conformance.models.beams import beams
from handcraft.conformance.models.compiled import PROGRAMS, compiled
from handcraft.conformance.models.diagnostic import Diagnostic
from handcraft.conformance.models.hops import hops
from handcraft.conformance.models.norms import centring, epsilon
from handcraft.conformance.models.position import position
from handcraft.conformance.models.recall import recall
from handcraft.conformance.models.scale import scale
from handcraft.conformance.models.untied import untied


def all_models() -> tuple[Diagnostic, ...]:
    """Every model of a pack."""
    return (
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
    )


def all_cases() -> Iterator[Planned]:
    """Every case of a pack."""
    yield from program_cases()
    yield from position_cases()
    yield from slot_cases()
    yield from network_cases()
