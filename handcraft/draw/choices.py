"""The kind of picture that options ask for, the same in Python and on the command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from handcraft.draw.subject import OF_A_RUN, WHATS, What
from handcraft.errors import DrawError

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
    is_command: bool = False,
) -> What | None:
    """The kind of picture: the one that is named, or the one that the other options imply.

    A tensor implies ``weights``, a prompt ``run``, and a detail ``circuit``.

    Args:
        what: the kind that is named, if any.
        prompt: as in `draw_picture`; None where it is not given.
        rule: likewise.
        tensor: likewise.
        detail: likewise.
        is_command: errors show options as on the command line, not as in Python.

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
    left_out = " and ".join(_shown(name, given[name], is_command) for name in unused)
    if what is not None:
        chosen = _shown("what", what, is_command)
        fitting = [each for each in WHATS if all(each in _USES[name] for name in given)]
        other = f"use {_shown('what', fitting[0], is_command)}" if fitting else ""
    else:
        assert implying is not None
        chosen = other = _shown(implying, given[implying], is_command)
    fix = f"leave out {left_out}" + (f", or {other}" if other else "")
    raise DrawError(f"{chosen} does not use {left_out}", fix=fix)


def _shown(name: str, value: object, is_command: bool) -> str:
    """An option as a user writes it."""
    return f"--{name} {shlex.quote(str(value))}" if is_command else f"{name}={value!r}"
