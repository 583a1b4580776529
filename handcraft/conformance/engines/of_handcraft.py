"""handcraft's own forward pass in NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from handcraft.conformance.cases.request import Logits, Outcome, Request, outcome_of
from handcraft.conformance.engines.engine import Facts, Loaded
from handcraft.conformance.engines.stepwise import step_by_step
from handcraft.dtype import dtype_named
from handcraft.formats.huggingface.read_repository import read_huggingface
from handcraft.model import Model
from handcraft.model.forward.padding import valid_positions
from handcraft.model.rounded import RoundedModel


@dataclass(frozen=True)
class HandcraftEngine:
    """`Model`, and in half precision `RoundedModel`."""

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        return Facts(
            "handcraft",
            version("handcraft"),
            "huggingface",
            {"beams": "it has no beam search"},
        )

    def load(self, folder: Path, dtype: str) -> Loaded:
        """Load a Hugging Face folder."""
        model = read_huggingface(folder)
        numpy_dtype = dtype_named(dtype).numpy
        tensors = {name: tensor.astype(numpy_dtype) for name, tensor in model.tensors.items()}
        kind = Model if dtype == "float32" else RoundedModel
        return _Loaded(kind(model.architecture, model.shape, model.vocabulary, tensors))


@dataclass(frozen=True)
class _Loaded:
    """A model. It puts the begin token before a text by itself, so prompts are given without it."""

    model: Model

    def answer(self, request: Request) -> Outcome:
        if request.kind == "encode":
            return Outcome(((*self._begin(), *self.model.vocabulary.ids(request.text)),))
        begin = len(self._begin())
        plain = replace(request, prompts=tuple(prompt[begin:] for prompt in request.prompts))
        if request.kind == "every":
            logits = self.model.forward(list(plain.prompts))[0]
            return outcome_of([np.concatenate([np.zeros_like(logits[:begin]), logits])])
        if request.kind == "pieces":
            pieces = (request.pieces[0] - begin, *request.pieces[1:])
            return outcome_of([self._in_pieces(replace(plain, pieces=pieces))])
        if request.kind == "batch":
            return outcome_of(self._batch(plain))
        if len(plain.prompts) == 1 and plain.new_tokens > 1:
            return self._generated(plain)
        return step_by_step(plain, lambda text: self.model.forward([list(text)])[0, -1])

    def _begin(self) -> tuple[int, ...]:
        begin = self.model.begin_id
        return () if begin is None else (begin,)

    def _in_pieces(self, request: Request) -> Logits:
        cache, start, found = self.model.empty_cache(), 0, []
        for length in request.pieces:
            piece = [list(request.prompts[0][start : start + length])]
            found.append(self.model.forward(piece, cache)[0, -1])
            start += length
        return np.stack(found)

    def _batch(self, request: Request) -> list[Logits]:
        """A batch that is padded at the end, as `Model` pads."""
        lengths = [len(prompt) for prompt in request.prompts]
        longest = max(lengths)
        ids = [[*prompt, *([0] * (longest - len(prompt)))] for prompt in request.prompts]
        logits = self.model.forward(ids, valid=valid_positions(lengths, longest))
        return [row[length - 1 : length] for row, length in zip(logits, lengths, strict=True)]

    def _generated(self, request: Request) -> Outcome:
        """One prompt, with a cache."""
        cache = self.model.empty_cache()
        fed = 0

        def logits_after(text: tuple[int, ...]) -> Logits:
            nonlocal fed
            new, fed = [list(text[fed:])], len(text)
            last: Logits = self.model.forward(new, cache)[0, -1]
            return last

        return step_by_step(replace(request, kind="generate"), logits_after)
