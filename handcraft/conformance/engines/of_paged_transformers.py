"""transformers with continuous batching: requests share steps, and the cache has pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handcraft.conformance.cases.request import Outcome, Request
from handcraft.conformance.engines.engine import Facts, Loaded

PAGE = 16
"""How many tokens a page of the cache has."""

STEP = 64
"""The most tokens of one step: longer prompts are run in several."""

PAGES = 160
"""Pages of the cache: more than the longest batch of a pack needs."""

NO_ID = -1
"""The end of a text where no id ends it."""


@dataclass(frozen=True)
class PagedTransformersEngine:
    """`generate_batch` of transformers, with prompts of all lengths side by side and no padding."""

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        import torch
        import transformers

        why = "generate_batch only generates"
        return Facts(
            f"transformers (sdpa, continuous batching, pages of {PAGE})",
            f"{transformers.__version__}, torch {torch.__version__}",
            "huggingface",
            {"every": why, "pieces": why, "beams": why, "encode": why},
        )

    def load(self, folder: Path, dtype: str) -> Loaded:
        """Load a Hugging Face folder."""
        import torch
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        )
        return _Loaded(model.eval())


@dataclass(frozen=True)
class _Loaded:
    model: Any

    def answer(self, request: Request) -> Outcome:
        import transformers
        from transformers.generation.configuration_utils import ContinuousBatchingConfig

        settings: Any = transformers.GenerationConfig
        found = self.model.generate_batch(
            inputs=[list(prompt) for prompt in request.prompts],
            generation_config=settings(
                max_new_tokens=request.new_tokens,
                do_sample=False,
                eos_token_id=NO_ID if request.end is None else request.end,
                pad_token_id=self.model.config.pad_token_id,
            ),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=PAGE,
                num_blocks=PAGES,
                max_batch_tokens=STEP,
                use_async_batching=False,
                use_cuda_graph=False,
            ),
            progress_bar=False,
            warmup=False,
        )
        return Outcome(tuple(tuple(each.generated_tokens) for each in found.values()))
