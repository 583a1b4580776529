"""The kind of picture that options ask for, the same in Python and on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from handcraft.draw.draw_picture import OF_A_RUN, WHATS, What
from handcraft.errors import DrawError
from handcraft.phrase import listed, phrase, setting

_USES: Mapping[str, tuple[What, ...]] = {
    "tensor": ("weights",),
    "prompt": OF_A_RUN,
    "detail": ("circuit", "program"),
    "rule": ("program", "circuit", "weights"),
}
"""The kinds of picture that use each option. The first is what an option implies, except `rule`."""


def chosen_kind(
    what: str | None,
    *,
    prompt: str | Sequence[str] | None = None,
    rule: int | str | None = None,
    tensor: str | None = None,
    detail: str | None = None,
) -> What | None:
    """The kind of picture: the one that is named, or the one that the other options imply.

    A tensor implies ``weights``, a prompt ``run``, and a detail ``circuit``.

    Args:
        what: the kind that is named, if any.
        prompt: as in `draw_picture`; None where it is not given.
        rule: likewise.
        tensor: likewise.
        detail: likewise.

    Returns:
        The kind, or None where nothing implies one.

    Raises:
        DrawError: there is no such kind, or it does not use an option that is given.
    """
    if what is not None and what not in WHATS:
        raise DrawError(f"there is no picture {what!r}", fix=f"use one of: {', '.join(WHATS)}")
    options = {"tensor": tensor, "prompt": prompt, "detail": detail, "rule": rule}
    given = {name: value for name, value in options.items() if value is not None}
    implying = next((name for name in given if name != "rule"), None)
    kind = what or (_USES[implying][0] if implying is not None else None)
    if kind is None:
        return None
    unused = [name for name in given if kind not in _USES[name]]
    if not unused:
        return kind
    left_out = listed([setting(name, given[name]) for name in unused], " and ")
    fix = phrase("leave out ", left_out)
    if what is not None:
        chosen = setting("what", what)
        fitting = [each for each in WHATS if all(each in _USES[name] for name in given)]
        if fitting:
            fix = phrase(fix, ", or use ", setting("what", fitting[0]))
    else:
        assert implying is not None
        chosen = setting(implying, given[implying])
        fix = phrase(fix, ", or ", chosen)
    raise DrawError(phrase(chosen, " does not use ", left_out), fix=fix)
