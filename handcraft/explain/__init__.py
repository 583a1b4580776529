"""Why a model answers what it answers on a prompt: rules, values, heads, neurons, logits as sums."""

from handcraft.explain.explain_prediction import explain_prediction
from handcraft.explain.explanation import Explanation

__all__ = ["Explanation", "explain_prediction"]
