"""ONNX Runtime: a graph of ids to logits, without a mask and without a cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handcraft.conformance.cases.request import Logits, Outcome, Request, outcome_of
from handcraft.conformance.engines.engine import Facts, Loaded
from handcraft.conformance.engines.stepwise import step_by_step
from handcraft.formats.onnx.onnx_file import FILE


@dataclass(frozen=True)
class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU."""

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        import onnxruntime

        return Facts(
            "onnxruntime",
            str(onnxruntime.__version__),
            "onnx",
            {
                "batch": "the graph has no mask for padding",
                "pieces": "the graph has no cache",
                "beams": "the graph has no beam search",
                "encode": "the graph has no tokenizer",
            },
            dtypes=("float32",),
        )

    def load(self, folder: Path, dtype: str) -> Loaded:
        """Load a graph, which computes in float32."""
        import onnxruntime

        return _Loaded(onnxruntime.InferenceSession(folder / FILE, providers=["CPUExecutionProvider"]))


@dataclass(frozen=True)
class _Loaded:
    session: Any

    def answer(self, request: Request) -> Outcome:
        if request.kind == "every":
            return outcome_of([self._logits(request.prompts[0])])
        return step_by_step(request, lambda text: self._logits(text)[-1])

    def _logits(self, text: tuple[int, ...]) -> Logits:
        (logits,) = self.session.run(["logits"], {"input_ids": np.array([text], dtype=np.int64)})
        found: Logits = logits[0]
        return found
