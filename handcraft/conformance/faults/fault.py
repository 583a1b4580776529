"""A known fault: what it is called, what it does, and the step that it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from handcraft.conformance.cases.request import Kind, Request
from handcraft.conformance.faults.reference import Reference
from handcraft.model import Model

BATCHES: tuple[Kind, ...] = ("batch", "generate")
"""The kinds of requests that may have more than one prompt."""


@dataclass(frozen=True)
class Fault:
    """A fault of engines that is known.

    Args:
        id: a short name.
        says: what the engine does, as a sentence without its subject: "counts padding as positions".
        step: overrides the step of `Reference` that is wrong.
        kinds: the kinds of requests in which it can be seen; all if empty. With ``batch`` among them it
            is a fault of batches, which more than one prompt shows.
    """

    id: str
    says: str
    step: type
    kinds: tuple[Kind, ...] = ()

    def is_reached_by(self, request: Request) -> bool:
        """Whether a request runs what is wrong; where it does not, the answer is the right one."""
        if "batch" in self.kinds and request.kind in BATCHES and len(request.prompts) == 1:
            return False
        return not self.kinds or request.kind in self.kinds

    def engine(self, network: type[Reference], model: Model, dtype: str = "float32") -> Reference:
        """An engine with this fault."""
        faulty = cast(type[Reference], type(f"With{self.step.__name__}", (self.step, network), {}))
        return faulty(model, dtype)
