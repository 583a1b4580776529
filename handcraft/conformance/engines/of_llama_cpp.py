"""llama.cpp by way of llama-cpp-python: GGUF files, one sequence, a cache that grows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handcraft.conformance.cases.request import Logits, Outcome, Request, outcome_of
from handcraft.conformance.engines.engine import Facts, Loaded
from handcraft.conformance.engines.stepwise import step_by_step

FILE = "model.gguf"


@dataclass(frozen=True)
class LlamaCppEngine:
    """llama.cpp on the CPU, with the weights in float32."""

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        import llama_cpp

        return Facts(
            "llama-cpp",
            f"llama-cpp-python {llama_cpp.__version__}",
            "gguf",
            {
                "batch": "llama-cpp-python runs one prompt at a time",
                "beams": "llama-cpp-python has no beam search",
            },
            dtypes=("float32",),
        )

    def load(self, folder: Path, dtype: str) -> Loaded:
        """Load a GGUF file, which is in float32."""
        import llama_cpp

        return _Loaded(
            llama_cpp.Llama(
                str(folder / FILE), n_ctx=0, n_gpu_layers=0, n_threads=1, logits_all=True, verbose=False
            )
        )


@dataclass(frozen=True)
class _Loaded:
    model: Any

    def answer(self, request: Request) -> Outcome:
        if request.kind == "encode":
            begins = self.model.metadata.get("tokenizer.ggml.add_bos_token") == "true"
            tokens = self.model.tokenize(request.text.encode(), add_bos=begins)
            return Outcome((tuple(tokens),))
        if request.kind == "every":
            self.model.reset()
            return outcome_of([self._fed(request.prompts[0])])
        if request.kind == "pieces":
            self.model.reset()
            start, found = 0, []
            for length in request.pieces:
                found.append(self._fed(request.prompts[0][start : start + length])[-1])
                start += length
            return outcome_of([np.stack(found)])
        return self._generated(request)

    def _fed(self, tokens: tuple[int, ...]) -> Logits:
        """The logits of more tokens: [new, n_vocab]."""
        before = self.model.n_tokens
        self.model.eval(list(tokens))
        logits: Logits = np.array(self.model.scores[before : self.model.n_tokens])
        return logits

    def _generated(self, request: Request) -> Outcome:
        """Each prompt by itself, with a cache."""
        fed: tuple[int, ...] = ()

        def logits_after(text: tuple[int, ...]) -> Logits:
            nonlocal fed
            if not fed or text[: len(fed)] != fed:
                self.model.reset()
                fed = ()
            last: Logits = self._fed(text[len(fed) :])[-1]
            fed = text
            return last

        return step_by_step(request, logits_after)
