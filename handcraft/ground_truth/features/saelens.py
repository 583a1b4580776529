"""The folder in which SAELens keeps a synthetic model: features, and how often they are active.

Read back by `sae_lens.synthetic.SyntheticModel.load_from_disk`. SAELens draws the activations of a
synthetic model at random; those of the compiled model on real prompts are in a file of our own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from handcraft.formats.tensors.safetensors_file import safetensors_bytes
from handcraft.ground_truth.features.feature import Dictionary
from handcraft.ground_truth.json_file import json_bytes

CONFIG = "synthetic_model_config.json"
WEIGHTS = "synthetic_model.safetensors"
HIERARCHY = "hierarchy.json"


def saelens_folder(found: Dictionary, shares: npt.NDArray[np.float64]) -> Mapping[str, bytes]:
    """The files of a synthetic model of SAELens.

    Args:
        found: the features of one state of the residual stream.
        shares: at which share of all positions each feature is active: [feature].
    """
    config = {
        "num_features": len(found.features),
        "hidden_dim": len(found.constant),
        "firing_probability": {"generator_name": "constant", "probability": float(shares.mean())},
        "hierarchy": None,
        "orthogonalization": None,
        "correlation": None,
        "std_firing_magnitudes": 0.0,
        "mean_firing_magnitudes": 1.0,
        "bias": float(np.linalg.norm(found.constant)),
        "dtype": "float32",
        "seed": 0,
    }
    tensors = {
        "feature_vectors": found.vectors.astype(np.float32),
        "bias": found.constant.astype(np.float32),
        "firing_probabilities": shares.astype(np.float32),
    }
    files = {CONFIG: json_bytes(config), WEIGHTS: safetensors_bytes(tensors, {})}
    if found.exclusive:
        files[HIERARCHY] = json_bytes({"roots": _roots(found)})
    return files


def _roots(found: Dictionary) -> list[dict[str, object]]:
    """A node for each subspace with a feature for each value, of which one is active."""
    return [
        _node(None, subspace.name, [_node(i, found.features[i].name, []) for i in numbers])
        for subspace, numbers in found.exclusive.items()
    ]


def _node(feature: int | None, name: str, children: list[dict[str, object]]) -> dict[str, object]:
    return {
        "feature_index": feature,
        "feature_id": name,
        "mutually_exclusive_children": bool(children),
        "scale_children_by_parent": False,
        "children": children,
    }
