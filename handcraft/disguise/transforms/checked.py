"""Whether the parameters of a transform are in range; what is wrong is said of all of them alike."""

from __future__ import annotations

from handcraft.errors import LayoutError


def check_whole(
    transform: object,
    name: str,
    says: str,
    *,
    least: int,
    most: int | None = None,
    step: int = 1,
    optional: bool = False,
) -> None:
    """Raise unless a parameter is a whole number in range.

    Args:
        transform: the transform.
        name: of the parameter.
        says: what the number is, in words.
        least: the smallest that is allowed.
        most: the largest; None for no limit.
        step: what it must be a multiple of, 1 or 2.
        optional: whether it may be None.

    Raises:
        LayoutError: it is not.
    """
    value = getattr(transform, name)
    if optional and value is None:
        return
    if type(value) is int and least <= value and (most is None or value <= most) and not value % step:
        return
    kind = "an even number" if step == 2 else "a whole number"
    allowed = f"{kind} of {least} or more" if most is None else f"{kind} from {least} to {most:,}"
    raise _refused(transform, name, says, allowed, optional=optional)


def check_share(
    transform: object, name: str, says: str, *, may_be_0: bool = False, optional: bool = False
) -> None:
    """Raise unless a parameter is a number up to 1.

    Args:
        transform: the transform.
        name: of the parameter.
        says: what the number is, in words.
        may_be_0: whether 0 is allowed.
        optional: whether it may be None.

    Raises:
        LayoutError: it is not.
    """
    value = getattr(transform, name)
    if optional and value is None:
        return
    if type(value) in (int, float) and (0 <= value <= 1 if may_be_0 else 0 < value <= 1):
        return
    allowed = "a number from 0 to 1" if may_be_0 else "a number above 0 and up to 1"
    raise _refused(transform, name, says, allowed, optional=optional)


def check_flag(transform: object, name: str, says: str) -> None:
    """Raise unless a parameter is True or False.

    Raises:
        LayoutError: it is not.
    """
    if type(getattr(transform, name)) is not bool:
        raise _refused(transform, name, says, "True or False", optional=False)


def _refused(transform: object, name: str, says: str, allowed: str, *, optional: bool) -> LayoutError:
    called = type(transform).__name__
    return LayoutError(
        f"{called}({name}={getattr(transform, name)!r}): {says} is {allowed}",
        where=called,
        fix=f"give {name} {allowed}" + (", or leave it out" if optional else ""),
    )
