"""Random programs with their compiled weights, as a data set for decompilers.

`write_dataset` writes one, `decompile` is a baseline, and `score` judges scripts that were recovered.
"""

from handcraft.dataset.decompile import decompile
from handcraft.dataset.score import Score, score
from handcraft.dataset.write_dataset import Settings, write_dataset

__all__ = ["Score", "Settings", "decompile", "score", "write_dataset"]
