"""Proof by trying: every context of a model against what its program means."""

from handcraft.verify.contexts import count_contexts, every_context, longer_contexts, random_contexts
from handcraft.verify.verify import Failure, Report, logit_margins, verify

__all__ = [
    "Failure",
    "Report",
    "count_contexts",
    "every_context",
    "logit_margins",
    "longer_contexts",
    "random_contexts",
    "verify",
]
