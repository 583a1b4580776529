"""The causal model as files: mechanisms, featurizers, and interventions that were tried.

The mechanisms are data, in the form of the certificate, and no code: reading them runs nothing that
came with the folder. docs/causal_model.py reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from handcraft.display import count
from handcraft.formats.tensors.safetensors_file import safetensors_bytes
from handcraft.ground_truth.causal.trials import Exchanges, Tally
from handcraft.ground_truth.causal.variables import CausalModel, LeftOut, Variable, causal_model
from handcraft.ground_truth.json_file import json_bytes
from handcraft.ground_truth.part import Made, Part, Wanted
from handcraft.ground_truth.stream.hook_point import HookPoint
from handcraft.ground_truth.subject import LaidOut
from handcraft.language.graph.domain import Value

MODEL_FILE = "causal_model.json"
TENSORS_FILE = "featurizers.safetensors"
TRIED_FILE = "interventions.json"

FORMAT = "handcraft-causal-model"
VERSION = 1

LISTED_UP_TO = 16
"""How many interventions on each variable are written down; those that change an answer first."""


def make_causal(subject: LaidOut, wanted: Wanted) -> Made:
    """The causal model of a program, and where its variables are."""
    found = causal_model(subject, wanted)
    tried = sum(variable.tally.tried for variable in found.variables)
    right = sum(variable.tally.right for variable in found.variables)
    statement, rotary = found.mechanisms.statement, subject.model.architecture.is_rotary
    data = {
        "format": FORMAT,
        "version": VERSION,
        **statement,
        "token_ids": list(subject.model.vocabulary.numbers),
        "domains": list(found.mechanisms.domains),
        "variables": [_variable(each, rotary=rotary) for each in found.variables],
        "left_out": [_left_out(each) for each in found.left_out],
    }
    files = {
        MODEL_FILE: json_bytes(data),
        TENSORS_FILE: safetensors_bytes(_tensors(found), {"format": FORMAT}),
        TRIED_FILE: json_bytes({"interventions": list(_listed(found, subject))}),
    }
    summary = {
        "variables": len(found.variables),
        "interventions": tried,
        "right": right,
        "left_out": len(found.left_out),
    }
    line = (
        f"{count(len(found.variables), 'causal variable')}, {right:,} of {tried:,} interchange "
        "interventions right"
    )
    return Made(files, summary, (line,))


def _variable(variable: Variable, *, rotary: bool) -> dict[str, object]:
    origin = variable.origin
    return {
        "name": variable.name,
        "node": variable.node,
        "origin": None if origin.place is None else origin.place.short,
        "parents": list(variable.parents),
        "values": [_value(value) for value in variable.values],
        "positions": list(variable.positions),
        "state": variable.done,
        "hook": HookPoint.of(variable.done, rotary=rotary).data(),
        "width": variable.featurizer.read.shape[1],
        "together_with": list(variable.place.together_with),
        "codewords_are_exact": variable.is_exact,
        "interventions": _tally(variable.tally),
        "orthogonal": {"tried": variable.orthogonal.tried, "right": variable.orthogonal.right},
    }


def _left_out(each: LeftOut) -> dict[str, object]:
    tally = None if each.tally is None else _tally(each.tally)
    return {"name": each.name, "node": each.node, "why": each.why, "interventions": tally}


def _tally(tally: Tally) -> dict[str, object]:
    return {
        "tried": tally.tried,
        "right": tally.right,
        "changing": tally.changing,
        "undefined": tally.undefined,
        "all": tally.is_all,
    }


def _value(value: Value) -> object:
    if isinstance(value, Fraction):
        return {"over": [value.numerator, value.denominator]}
    return value


def _tensors(found: CausalModel) -> dict[str, np.ndarray]:
    """The featurizer of every variable, under its name."""
    tensors: dict[str, np.ndarray] = {}
    for variable in found.variables:
        featurizer, name = variable.featurizer, variable.name
        parts = {
            "read": featurizer.read,
            "write": featurizer.write,
            "constant": featurizer.constant,
            "basis": featurizer.basis,
            "codewords": variable.codewords,
        }
        tensors |= {f"{name}.{part}": array.astype(np.float32) for part, array in parts.items()}
    return tensors


def _listed(found: CausalModel, subject: LaidOut) -> Iterator[dict[str, object]]:
    """Some interventions on every variable, as texts and answers."""
    for variable in found.variables:
        left = LISTED_UP_TO
        for each in variable.exchanges:
            counted = {*np.flatnonzero(each.compared.any(axis=1)).tolist()}
            order = np.argsort(~each.changes, kind="stable").tolist()
            chosen = [i for i in order if i in counted][:left]
            left -= len(chosen)
            for i in chosen:
                yield {"variable": variable.name, **_intervention(found, subject, each, i)}


def _intervention(found: CausalModel, subject: LaidOut, each: Exchanges, i: int) -> dict[str, object]:
    ids = np.array(subject.model.vocabulary.numbers)
    texts, compared = ids[each.sample.texts], np.flatnonzero(each.compared[i]).tolist()
    return {
        "base": texts[each.bases[i]].tolist(),
        "source": texts[each.sources[i]].tolist(),
        "position": int(each.positions[i]),
        "answers": [[p, _answer(found, ids.tolist(), int(each.answers[i, p]))] for p in compared],
    }


def _answer(found: CausalModel, ids: Sequence[int], answer: int) -> object:
    """The id of a token, or the probability of each."""
    if answer < len(ids):
        return ids[answer]
    shares = found.mechanisms.meaning.distributions[answer - len(ids)]
    return [[ids[place], float(share)] for place, share in shares.items()]


PART = Part(
    "causal",
    "variables, mechanisms, and where each variable is exchanged",
    (MODEL_FILE, TENSORS_FILE, TRIED_FILE),
    make_causal,
)
