"""Short labels for the texts of many expressions: two labels differ where the texts do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from handcraft.language.graph.wording import LONGEST, Wording, reads

WIDTHS = (40, 60, 90, 150, LONGEST)
"""How many characters a label may have: the fewest with which it differs from all others."""


def distinct(texts: Iterable[Wording | str], widths: Sequence[int] = WIDTHS) -> Mapping[str, str]:
    """A label for each of some texts, by the whole text.

    Args:
        texts: the texts.
        widths: how many characters a label may have, the fewest first.

    >>> labels = distinct(["before", *(f"{'word ' * 30}{number}" for number in range(2))])
    >>> for label in labels.values():
    ...     print(label)
    before
    word word word wo...ord word word 0
    word word word wo...ord word word 1
    """
    waiting = {str(text): text if isinstance(text, Wording) else reads(text) for text in texts}
    labels: dict[str, str] = {}
    for width in widths:
        of_label: dict[str, list[str]] = {}
        for full, text in waiting.items():
            of_label.setdefault(text.within(width), []).append(full)
        labels |= {full: label for label, (full, *_) in of_label.items()}
        alike = {full for found in of_label.values() if len(found) > 1 for full in found}
        waiting = {full: text for full, text in waiting.items() if full in alike}
    labels |= {full: full for full in waiting}
    return labels
