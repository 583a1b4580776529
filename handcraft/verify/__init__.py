"""Compare a model with the meaning of its program, on every context or on a stated sample."""

from typing import TYPE_CHECKING

from handcraft.on_use import imported_on_use

if TYPE_CHECKING:
    from handcraft.verify.facts import Facts, check_facts, measure_facts
    from handcraft.verify.report import Disagreement, Failure, Measured, Report
    from handcraft.verify.residual_stream import check_stream
    from handcraft.verify.tally import logit_margins
    from handcraft.verify.texts.contexts import (
        count_contexts,
        every_context,
        longer_contexts,
        random_contexts,
    )
    from handcraft.verify.verify_model import verify
    from handcraft.verify.verify_outputs import (
        ValueReport,
        meant_by_circuits,
        meant_by_expressions,
        verify_values,
    )
else:
    __getattr__, __dir__ = imported_on_use(
        __name__,
        {
            "handcraft.verify.facts": ("Facts", "check_facts", "measure_facts"),
            "handcraft.verify.report": ("Disagreement", "Failure", "Measured", "Report"),
            "handcraft.verify.residual_stream": ("check_stream",),
            "handcraft.verify.tally": ("logit_margins",),
            "handcraft.verify.texts.contexts": (
                "count_contexts",
                "every_context",
                "longer_contexts",
                "random_contexts",
            ),
            "handcraft.verify.verify_model": ("verify",),
            "handcraft.verify.verify_outputs": (
                "ValueReport",
                "meant_by_circuits",
                "meant_by_expressions",
                "verify_values",
            ),
        },
    )

__all__ = [
    "Disagreement",
    "Facts",
    "Failure",
    "Measured",
    "Report",
    "ValueReport",
    "check_facts",
    "check_stream",
    "count_contexts",
    "every_context",
    "logit_margins",
    "longer_contexts",
    "meant_by_circuits",
    "meant_by_expressions",
    "measure_facts",
    "random_contexts",
    "verify",
    "verify_values",
]
