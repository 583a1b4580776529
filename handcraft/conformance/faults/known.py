"""All known faults of each target."""

from __future__ import annotations

from handcraft.architecture import Architecture
from handcraft.conformance.faults.caches import CACHE_FAULTS, GENERATION_FAULTS, MASK_FAULTS
from handcraft.conformance.faults.fault import Fault
from handcraft.conformance.faults.gpt2 import GPT2Reference
from handcraft.conformance.faults.llama import LlamaReference
from handcraft.conformance.faults.llama_faults import LLAMA_FAULTS
from handcraft.conformance.faults.network import ATTENTION_FAULTS, GPT2_FAULTS
from handcraft.conformance.faults.positions import (
    PADDING_FAULTS,
    POSITION_FAULTS,
    NoPositions,
)
from handcraft.conformance.faults.reference import Reference

SHARED_FAULTS = (
    *POSITION_FAULTS,
    *PADDING_FAULTS,
    *CACHE_FAULTS,
    *MASK_FAULTS,
    *GENERATION_FAULTS,
    *ATTENTION_FAULTS,
)


def network_of(architecture: Architecture) -> type[Reference]:
    """The reference network of a target."""
    return LlamaReference if architecture.is_rotary else GPT2Reference


def faults_of(architecture: Architecture) -> tuple[Fault, ...]:
    """The faults that an engine for a target may have."""
    if not architecture.is_rotary:
        return (*SHARED_FAULTS, *GPT2_FAULTS)
    without = (fault for fault in SHARED_FAULTS if fault.step is not NoPositions)  # that is no-rope
    return (*without, *LLAMA_FAULTS)
