"""A known fault: what it is called, what it does, and the step that it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from handcraft.conformance.cases.request import Kind
from handcraft.conformance.faults.reference import Reference
from handcraft.model import Model


@dataclass(frozen=True)
class Fault:
    """A fault of engines that is known.

    Args:
        id: a short name.
        says: what the engine does, as a sentence without its subject: "counts padding as positions".
        step: overrides the step of `Reference` that is wrong.
        kinds: the kinds of requests in which it can be seen; all if empty.
    """

    id: str
    says: str
    step: type
    kinds: tuple[Kind, ...] = ()

    def engine(self, network: type[Reference], model: Model, dtype: str = "float32") -> Reference:
        """An engine with this fault."""
        faulty = cast(type[Reference], type(f"With{self.step.__name__}", (self.step, network), {}))
        return faulty(model, dtype)
