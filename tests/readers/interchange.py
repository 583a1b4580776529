"""Interchange interventions through pyvene on the model of a folder of ground truth."""

from __future__ import annotations

import io
import json
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pyvene
import torch
import transformers
from safetensors.torch import load_file

COMPONENTS = {
    "embedding": "block_input",
    "output": "block_output",
    "after_attention": "attention_output",
}
"""What pyvene calls a state of the stream. After attention it has what attention adds to it."""


@dataclass(frozen=True)
class CausalFolder:
    """A folder of ground truth with a causal model."""

    folder: Path
    model: transformers.PreTrainedModel

    @classmethod
    def read(cls, folder):
        with redirect_stdout(io.StringIO()):
            model = transformers.AutoModelForCausalLM.from_pretrained(Path(folder) / "model")
        return cls(Path(folder), model.eval())

    def variables(self):
        return json.loads((self.folder / "causal_model.json").read_text())["variables"]

    def listed(self, name):
        every = json.loads((self.folder / "interventions.json").read_text())["interventions"]
        return [each for each in every if each["variable"] == name]

    def tensors(self, name):
        every = load_file(self.folder / "featurizers.safetensors")
        return {part: every[f"{name}.{part}"] for part in ("read", "write", "basis")}


class Exchanged(pyvene.Intervention):
    """Reads the coordinates of a variable from both runs, and writes their difference to one."""

    def __init__(self, tensors, **more):
        super().__init__(**more)
        self.tensors = tensors

    def forward(self, base, source, subspaces=None, **more):
        moved = (source.double() - base.double()) @ self.tensors["read"].double()
        return (base.double() + moved @ self.tensors["write"].double().T).to(base.dtype)


class Projected(Exchanged):
    """The same by an orthogonal projection, as trained featurizers do it."""

    def forward(self, base, source, subspaces=None, **more):
        basis = self.tensors["basis"].double()
        moved = (source.double() - base.double()) @ basis
        return (base.double() + moved @ basis.T).to(base.dtype)


def intervenable(folder, variable, kind=Exchanged):
    """The model of a folder with an intervention on a variable at one position."""
    trace = variable["hook"]["trace"]
    layer = 0 if trace == "embedding" else int(trace.split(".")[1])
    component = COMPONENTS[trace.split(".")[-1]]
    made = kind(folder.tensors(variable["name"]), embed_dim=folder.model.config.n_embd)
    config = pyvene.IntervenableConfig(
        model_type=type(folder.model),
        representations=[pyvene.RepresentationConfig(layer, component, "pos", 1, intervention=made)],
    )
    with redirect_stdout(io.StringIO()):
        return pyvene.IntervenableModel(config, folder.model)


def count_right(folder, variable, kind=Exchanged):
    """How many of the listed interventions give every answer of the causal model, and of how many."""
    right, listed, model = 0, folder.listed(variable["name"]), intervenable(folder, variable, kind)
    for each in listed:
        place = each["position"]
        with torch.no_grad():
            _, after = model(
                {"input_ids": torch.tensor([each["base"]])},
                [{"input_ids": torch.tensor([each["source"]])}],
                {"sources->base": place},
            )
        right += all(is_answer(after.logits[0, p], answer) for p, answer in each["answers"])
    return right, len(listed)


def is_answer(logits, answer):
    """Whether the best token is the answer, or the probabilities are."""
    if isinstance(answer, int):
        return int(logits.argmax()) == answer
    meant = torch.zeros(len(logits), dtype=torch.float64)
    for token, share in answer:
        meant[token] = share
    return float((logits.double().softmax(-1) - meant).abs().sum()) / 2 < 1e-3


def main(folders):
    """Print a line for each folder: variables, interventions, how many are right, seconds."""
    for path in folders:
        folder, begun = CausalFolder.read(path), time.perf_counter()
        counts = [count_right(folder, variable) for variable in folder.variables()]
        right, tried = (sum(column) for column in zip(*counts, strict=True))
        name, seconds = Path(path).name, time.perf_counter() - begun
        print(f"| {name} | {len(counts)} | {tried} | {right} | {seconds:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
