"""An engine of your own: a class with some of a few methods, named as MODULE:CLASS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from handcraft.conformance.cases.request import Kind, Logits, Outcome, Request, outcome_of
from handcraft.conformance.engines.engine import Facts, Loaded
from handcraft.errors import ConformanceError

METHODS: dict[Kind, str] = {
    "next": "next_logits",
    "every": "all_logits",
    "batch": "batch_logits",
    "pieces": "pieces_logits",
    "generate": "generate",
    "beams": "search",
    "encode": "encode",
}
"""The method that runs each kind of request. A class without it cannot run the kind."""


@dataclass(frozen=True)
class ClassEngine:
    """An engine whose class makes a model: ``Class(folder, dtype)``.

    Its methods, each of which may be missing:

    - ``next_logits(ids)`` gives the logits after a prompt, [n_vocab];
    - ``all_logits(ids)`` those at every position, [position, n_vocab];
    - ``batch_logits(prompts)`` those after each prompt of a batch, [prompt, n_vocab];
    - ``pieces_logits(ids, pieces)`` those after each piece, [piece, n_vocab];
    - ``generate(prompts, new_tokens, end)`` a list of ids for each prompt;
    - ``search(ids, new_tokens, beams)`` a list of ids;
    - ``encode(text)`` a list of ids.

    The attributes ``format`` and ``version`` say which format it reads, by default huggingface, and
    its version.
    """

    place: str

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        wanted = self._class()
        missing: dict[Kind, str] = {
            kind: f"{self.place} has no method {method}"
            for kind, method in METHODS.items()
            if not callable(getattr(wanted, method, None))
        }
        return Facts(
            self.place,
            str(getattr(wanted, "version", "unknown")),
            str(getattr(wanted, "format", "huggingface")),
            missing,
        )

    def load(self, folder: Path, dtype: str) -> Loaded:
        """Make a model of the class."""
        return _Loaded(self._class()(folder, dtype))

    def _class(self) -> Any:
        module, _, name = self.place.partition(":")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConformanceError(
                f"there is no engine {self.place}: {error}",
                fix="name a class that Python can import, as in my_package.my_engine:MyEngine",
            ) from error


@dataclass(frozen=True)
class _Loaded:
    model: Any

    def answer(self, request: Request) -> Outcome:
        run = getattr(self.model, METHODS[request.kind])
        first = request.prompts[0] if request.prompts else ()
        match request.kind:
            case "encode":
                return Outcome((_ids(run(request.text)),))
            case "beams":
                return Outcome((_ids(run(first, request.new_tokens, request.beams)),))
            case "generate":
                rows = run(request.prompts, request.new_tokens, request.end)
                return Outcome(tuple(_ids(row) for row in rows))
            case "next":
                return outcome_of([_logits(run(first), "next_logits", "n_vocab")[None]])
            case "every":
                return outcome_of([_logits(run(first), "all_logits", "position", "n_vocab")])
            case "pieces":
                found = run(first, request.pieces)
                return outcome_of([_logits(found, "pieces_logits", "piece", "n_vocab")])
            case "batch":
                rows = _logits(run(request.prompts), "batch_logits", "prompt", "n_vocab")
                return outcome_of([row[None] for row in rows])


def _ids(found: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(token) for token in found)


def _logits(found: Any, method: str, *axes: str) -> Logits:
    """Numbers, whatever they come in.

    Raises:
        ConformanceError: they have another number of axes.
    """
    numbers: Logits = np.asarray(_in_memory(found, len(axes)), dtype=np.float32)
    if numbers.ndim != len(axes):
        raise ConformanceError(
            f"{method} gives an array of shape {list(numbers.shape)}, not [{', '.join(axes)}]",
            fix="return an array with these axes",
        )
    return numbers


def _in_memory(found: Any, axes: int) -> Any:
    """Tensors of torch as arrays: on whatever device, with gradients or without, in any dtype."""
    if axes and isinstance(found, list | tuple):
        return [_in_memory(each, axes - 1) for each in found]
    return found.detach().float().cpu().numpy() if hasattr(found, "detach") else found
