"""The engine that a command line names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from handcraft.conformance.engines.engine import Engine
from handcraft.conformance.engines.of_class import ClassEngine
from handcraft.conformance.engines.of_handcraft import HandcraftEngine
from handcraft.conformance.engines.of_llama_cpp import LlamaCppEngine
from handcraft.conformance.engines.of_onnxruntime import OnnxRuntimeEngine
from handcraft.conformance.engines.of_paged_transformers import PagedTransformersEngine
from handcraft.conformance.engines.of_server import ServerEngine
from handcraft.conformance.engines.of_transformers import TransformersEngine
from handcraft.errors import ConformanceError

ENGINES: Mapping[str, Callable[[], Engine]] = {
    "transformers": TransformersEngine,
    "transformers-eager": lambda: TransformersEngine("eager"),
    "transformers-forward": lambda: TransformersEngine(batches="forward"),
    "transformers-cast": lambda: TransformersEngine(is_cast=True),
    "transformers-top-1": lambda: TransformersEngine(is_sampled=True),
    "transformers-paged": PagedTransformersEngine,
    "onnxruntime": OnnxRuntimeEngine,
    "llama-cpp": LlamaCppEngine,
    "handcraft": HandcraftEngine,
}
"""The engines that are known by name."""


def engine_named(name: str) -> Engine:
    """The engine of a name, of MODULE:CLASS, or of the address of a server.

    Raises:
        ConformanceError: there is none.
    """
    if name.startswith(("http://", "https://")):
        return ServerEngine(name.rstrip("/"))
    if name in ENGINES:
        return ENGINES[name]()
    if ":" in name:
        return ClassEngine(name)
    raise ConformanceError(
        f"there is no engine {name!r}",
        fix=f"use one of {', '.join(ENGINES)}; or MODULE:CLASS, or http://...",
    )
