"""transformers: `AutoModelForCausalLM`, with eager or sdpa attention."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from handcraft.conformance.cases.request import Logits, Outcome, Request, outcome_of
from handcraft.conformance.engines.engine import Facts, Loaded


@dataclass(frozen=True)
class TransformersEngine:
    """transformers.

    Args:
        attention: which implementation of attention.
        batches: how a batch of prompts is run: by `generate`, which makes positions from the mask, or
            by one call of the model with ids and mask alone.
        is_cast: whether a model is loaded in float32 and then cast as a whole by `.to(dtype)`.
        is_sampled: whether tokens are drawn, from the one that is most probable.
    """

    attention: Literal["eager", "sdpa"] = "sdpa"
    batches: Literal["generate", "forward"] = "generate"
    is_cast: bool = False
    is_sampled: bool = False

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        import torch
        import transformers

        how = "" if self.batches == "generate" else ", batches by forward"
        how += ", cast by .to(dtype)" if self.is_cast else ""
        how += ", drawn from the best token" if self.is_sampled else ""
        version = f"{transformers.__version__}, torch {torch.__version__}"
        return Facts(f"transformers ({self.attention}{how})", version, "huggingface")

    def load(self, folder: Path, dtype: str) -> Loaded:
        """Load a Hugging Face folder."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        wanted = getattr(torch, dtype)
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32 if self.is_cast else wanted,
            attn_implementation=self.attention,
        )
        if self.is_cast:
            model = model.to(wanted)
        return _Loaded(model.eval(), AutoTokenizer.from_pretrained(folder), self)


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any
    engine: TransformersEngine

    def answer(self, request: Request) -> Outcome:
        import torch

        with torch.inference_mode():
            if request.kind == "encode":
                return Outcome((tuple(self.tokenizer(request.text)["input_ids"]),))
            if request.kind == "every":
                return outcome_of([_plain(self.model(torch.tensor(request.prompts)).logits[0])])
            if request.kind == "pieces":
                return outcome_of([self._in_pieces(request)])
            if request.kind == "batch" and self.engine.batches == "forward":
                ids, mask = self._padded(request)
                logits = self.model(ids, attention_mask=mask).logits[:, -1:]
                return outcome_of([_plain(row) for row in logits])
            return self._generated(request)

    def _in_pieces(self, request: Request) -> Logits:
        import torch

        cache, start, found = None, 0, []
        for length in request.pieces:
            ids = torch.tensor([request.prompts[0][start : start + length]])
            out = self.model(ids, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            found.append(_plain(out.logits[0, -1]))
            start += length
        return np.stack(found)

    def _generated(self, request: Request) -> Outcome:
        ids, mask = self._padded(request)
        is_drawn = self.engine.is_sampled and request.beams == 1
        out = self.model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=request.new_tokens,
            do_sample=is_drawn,
            top_k=1 if is_drawn else None,
            num_beams=request.beams,
            eos_token_id=request.end,
            pad_token_id=self._padding,
            output_logits=request.beams == 1,
            return_dict_in_generate=True,
        )
        rows = [_until(row[ids.shape[1] :].tolist(), request.end) for row in out.sequences]
        if request.beams > 1:
            return Outcome(tuple(rows))
        logits = np.stack([_plain(step) for step in out.logits], axis=1)  # [row, step, n_vocab]
        cut = tuple(logits[row, : len(tokens)] for row, tokens in enumerate(rows))
        return Outcome(tuple(rows), cut)

    @property
    def _padding(self) -> int:
        """The id that fills up batches; a Llama has none of its own, and its begin token serves."""
        config = self.model.config
        return int(config.bos_token_id if config.pad_token_id is None else config.pad_token_id)

    def _padded(self, request: Request) -> tuple[Any, Any]:
        """Ids and mask of a batch, padded on the left."""
        import torch

        length = max(map(len, request.prompts))
        ids = [[self._padding] * (length - len(prompt)) + list(prompt) for prompt in request.prompts]
        mask = [[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in request.prompts]
        return torch.tensor(ids), torch.tensor(mask)


def _plain(tensor: Any) -> Logits:
    """Logits as NumPy has them, in float32."""
    plain: Logits = tensor.float().numpy()
    return plain


def _until(tokens: list[int], end: int | None) -> tuple[int, ...]:
    """Tokens up to the end of the text, which is the last of them."""
    if end is not None and end in tokens:
        return tuple(tokens[: tokens.index(end) + 1])
    return tuple(tokens)
