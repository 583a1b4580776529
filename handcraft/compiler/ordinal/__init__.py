"""`optimize`: encode numeric answers as one scalar, and decode it to the nearest token."""

from handcraft.compiler.ordinal.compile_ordinal import (
    PASSES,
    check_shares,
    compile_ordinal,
    passes_named,
)
from handcraft.compiler.ordinal.read_sum import NotASumError

__all__ = ["PASSES", "NotASumError", "check_shares", "compile_ordinal", "passes_named"]
