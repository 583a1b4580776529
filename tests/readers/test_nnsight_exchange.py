"""nnsight exchanges every variable of a causal model by three lines of matrices."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import nnsight
import pytest
import torch
from interchange import CausalFolder, is_answer

from handcraft.cli.input.sources import compile_found, find
from handcraft.ground_truth import Wanted, of_compiled, write_ground_truth


@pytest.fixture(scope="module", params=["add", "induction", "sort"])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    subject = of_compiled(compile_found(find(request.param).source), request.param)
    write_ground_truth(subject, path, what=["causal"], wanted=Wanted(128))
    return CausalFolder.read(path)


def module_of(model, hook):
    """The module whose output holds a state: what goes into the first block comes out of dropout."""
    if hook["of"] == "input":
        return model.transformer.drop
    found = model
    for name in hook["module"].split("."):
        found = found[int(name)] if name.isdigit() else getattr(found, name)
    return found


def test_every_intervention_gives_the_answers_of_the_causal_model(folder):
    with redirect_stdout(io.StringIO()):
        model = nnsight.NNsight(folder.model)
    for variable in folder.variables():
        tensors = folder.tensors(variable["name"])
        for each in folder.listed(variable["name"])[:6]:
            place, hook = each["position"], variable["hook"]["transformers"]
            with torch.no_grad(), model.trace(torch.tensor([each["source"]])):
                source = module_of(model, hook).output.save()
            with torch.no_grad(), model.trace(torch.tensor([each["base"]])):
                base = module_of(model, hook).output
                moved = (source[:, place] - base[:, place]) @ tensors["read"]
                base[:, place] += moved @ tensors["write"].T
                logits = model.lm_head.output.save()
            assert all(is_answer(logits[0, p], answer) for p, answer in each["answers"])
