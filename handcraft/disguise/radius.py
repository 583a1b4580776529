"""Prove how far all weights of a model may move before the proof of its answers fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from handcraft.formats.folder import write_text
from handcraft.formats.tensors.safetensors_file import pending, write_safetensors
from handcraft.model import Model
from handcraft.proofs import CERTIFICATE, certificate_of, certificate_text
from handcraft.proofs.prove_folder import prove_folder_radius


def radius_of(stated: dict[str, Any]) -> Callable[[Model], float]:
    """What proves the radius of a model that means what a certificate states; 0 if no proof is found.

    The model is rounded to float32 first, and proved in that regime.
    """

    def found(model: Model) -> float:
        tensors = {name: each.astype(np.float32) for name, each in model.tensors.items()}
        narrow = replace(model, tensors=tensors)
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_safetensors(folder / "model.safetensors", pending(narrow), {"format": "pt"})
            certificate = certificate_of(stated, narrow, folder)
            write_text(folder / CERTIFICATE, certificate_text(certificate))
            radius, _ = prove_folder_radius(folder)
            return radius

    return found
