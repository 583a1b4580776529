"""Why a model answers what it answers, for a failure; of models that run here."""

from __future__ import annotations

from collections.abc import Callable

from handcraft.errors import HandcraftError
from handcraft.testing.means.found import Margin
from handcraft.testing.means.trying import Trying
from handcraft.testing.models.of_handcraft import OfHandcraft


def explainer(trying: Trying, wrong: Margin) -> Callable[[], str] | None:
    """What explains an answer, when it is asked for; None of a model that only others can run."""
    model = trying.subject.model
    if not isinstance(model, OfHandcraft) or wrong.position is not None:
        return None

    def explain() -> str:
        from handcraft.explain import explain_prediction
        from handcraft.subject import Subject

        tokens = trying.subject.vocabulary.split(wrong.prompt)
        try:
            return str(explain_prediction(Subject(model.name, model=model.model), tokens))
        except HandcraftError as error:  # as of logits that are infinite
            return f"not explained: {error}"

    return explain
