"""Prove the margins that a pack states again, from its files alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console

from handcraft.conformance.pack.case import Margin
from handcraft.conformance.pack.proofs import proved_of
from handcraft.conformance.pack.read_pack import Pack
from handcraft.display import count
from handcraft.errors import ConformanceError
from handcraft.progress import advance
from handcraft_check.errors import CheckError


@dataclass(frozen=True)
class Proved:
    """What was proved of a case.

    Args:
        id: of the case.
        stated: the margin that the pack states in this dtype.
        found: what the margin surely is at least; None where it may be 0.
    """

    id: str
    stated: Margin
    found: float | None

    @property
    def is_as_stated(self) -> bool:
        """Whether all that the pack states was found again."""
        return self.stated.proved is None or (self.found or 0.0) >= self.stated.proved


def prove_pack(pack: Pack, dtype: str = "float32") -> tuple[Proved, ...]:
    """Prove all margins of a pack in a dtype.

    Raises:
        ConformanceError: the pack has no Hugging Face files, or one of them cannot be judged.
    """
    return tuple(_proved(pack, dtype))


def _proved(pack: Pack, dtype: str) -> Iterator[Proved]:
    for number, model in enumerate(pack.models.values()):
        advance("prove margins", number, len(pack.models))
        stated = {
            case.id: (case, margin)
            for case in pack.cases
            if case.model == model.name and (margin := case.margins.get(dtype)) is not None
        }
        if "huggingface" not in model.formats:
            raise ConformanceError(
                f"the pack has no Hugging Face files of {model.name}, which are what is proved",
                where=pack.folder,
                fix=f"handcraft conformance -o {pack.folder}",
            )
        folder = pack.folder / model.formats["huggingface"]
        try:
            found = proved_of([case for case, _ in stated.values()], folder, dtype)
        except CheckError as error:
            raise ConformanceError(
                f"the model {model.name} cannot be judged: {error.what}",
                where=folder,
                fix="write the pack again with handcraft conformance -o",
            ) from error
        yield from (Proved(id, margin, found.get(id)) for id, (_, margin) in stated.items())


def print_proofs(proved: tuple[Proved, ...], dtype: str, console: Console) -> int:
    """Say what is proved, and of which cases it is not; the exit code."""
    held = [each for each in proved if each.found is not None and each.is_as_stated]
    least = min(
        (each.found * each.stated.ulp / each.stated.logit for each in held if each.found), default=0.0
    )
    console.print(
        f"{dtype}: {count(len(held), 'margin')} of {len(proved)} proved in any order of summation, "
        f"each at least {least:.4g} units in the last place",
        highlight=False,
        markup=False,
    )
    for each in proved:
        if each not in held:
            what = (
                "is less than the pack states" if not each.is_as_stated else "is measured, not proved"
            )
            console.print(f"{each.id}: the margin {what}", highlight=False, markup=False)
    return 0 if all(each.is_as_stated for each in proved) else 1
