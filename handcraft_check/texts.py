"""Some texts, position by position: how far the right logits surely lead there.

`prove` shows a claim after every text of a certificate. Here a few texts are given, with what is right
at some of their positions, and the bounds are those of the same layers. All texts are computed at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from handcraft_check.arithmetic.regime import regime_named
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.arithmetic.stream import Stream, joined
from handcraft_check.errors import CheckError
from handcraft_check.folder.beside import check_beside
from handcraft_check.folder.config import Config
from handcraft_check.folder.files import (
    CONFIG,
    JSON_UP_TO,
    TENSORS,
    TENSORS_UP_TO,
    read_bytes,
    read_json,
    read_tensors,
)
from handcraft_check.folder.llama import is_llama, read_llama
from handcraft_check.layers.blocks import stacked
from handcraft_check.layers.llama import Llama
from handcraft_check.layers.matrix import Ids
from handcraft_check.layers.model import Model

Text = tuple[int, ...]
Right = Mapping[int, tuple[int, ...]]
"""The ids that are right at some positions of a text: more than one where several are."""

ROWS = 256
"""How many positions are computed at once, so that a vocabulary of 1,000 takes a few megabytes."""


def proved_margins(
    folder: Path, texts: Mapping[Text, Right], regime: str = "float32"
) -> dict[Text, dict[int, float]]:
    """How far every right logit surely is above all wrong ones, in any order of summation.

    Args:
        folder: a Hugging Face directory with config.json and model.safetensors; no certificate is read.
        texts: the ids of each text, with the begin token of a Llama, and what is right in it.
        regime: the arithmetic, as in a certificate: float32, bfloat16, float16, tf32.

    Returns:
        For each text and position a lower bound, -inf where nothing is known.

    Raises:
        CheckError: a file is missing, malformed or about another model; or a text is none of it.
    """
    models = _models(folder, regime)
    lead = models[0].config.lead
    _check(models[0].config, texts)
    found: dict[Text, dict[int, float]] = {
        text: dict.fromkeys(right, np.inf) for text, right in texts.items()
    }
    for model in models:
        places = [(text, at) for text, right in texts.items() for at in sorted(right)]
        rows = [np.array(text[lead:], dtype=np.int64) for text in texts]
        wanted = [[at - lead for at in sorted(right)] for right in texts.values()]
        last = _last(model, rows, wanted)
        margins = _margins(model, last, [texts[text][at] for text, at in places])
        for (text, at), margin in zip(places, margins, strict=True):
            found[text][at] = min(found[text][at], margin)
    return found


def _models(folder: Path, regime: str) -> list[Model]:
    """The model of a folder, once for each way in which the regime may compute."""
    used = regime_named(regime, "the regime")
    check_beside(folder)
    config = read_json(read_bytes(folder / CONFIG, JSON_UP_TO), CONFIG)
    read = read_llama(config, CONFIG) if is_llama(config) else Config.read(config, CONFIG)
    tensors, _ = read_tensors(read_bytes(folder / TENSORS, TENSORS_UP_TO), TENSORS)
    model = (Llama if read.is_rotary else Model)(read, tensors, used)
    return [model.within(each) for each in used.each]


def _check(config: Config, texts: Mapping[Text, Right]) -> None:
    """Raise unless every text is one of the model, and something is right in it."""
    begin = () if config.begin is None else (config.begin,)
    for text, right in texts.items():
        if text[: config.lead] != begin[: config.lead] or not config.lead < len(text):
            raise CheckError("a text does not begin as those of the model do", str(text[:4]))
        if len(text) - config.lead > config.longest:
            raise CheckError(
                f"a text of {len(text)} tokens, and at most {config.longest}", str(text[:4])
            )
        if not all(0 <= token < config.vocab_size for token in text):
            raise CheckError("a text has an id that the model does not have", str(text[:4]))
        if not right or not all(config.lead <= at < len(text) and ids for at, ids in right.items()):
            raise CheckError("nothing is right, or at no position of the text", str(text[:4]))


def _last(model: Model, texts: Sequence[Ids], wanted: Sequence[Sequence[int]]) -> Stream:
    """The last stream at the wanted positions of all texts, one after the other: [row, n_embd]."""
    texts = [text[: max(at) + 1] for text, at in zip(texts, wanted, strict=True)]
    positions = np.concatenate([np.arange(len(text)) for text in texts])
    owners = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    x = model.embed(np.concatenate(texts), positions)
    for layer in range(model.config.n_layer):
        is_last = layer == model.config.n_layer - 1
        reading = np.arange(len(positions))
        if is_last:
            starts = np.searchsorted(owners, np.arange(len(texts)))
            reading = np.concatenate(
                [start + np.array(at) for start, at in zip(starts, wanted, strict=True)]
            )
        out = _read(model, layer, x, positions, reading)
        before = x[reading]
        x = joined(
            [
                model.feed_forward(layer, model.written(layer, before[part], out[part]))
                for part in _parts(len(reading))
            ]
        )
    return x


def _parts(count: int) -> list[slice]:
    return [slice(start, start + ROWS) for start in range(0, count, ROWS)]


def _read(model: Model, layer: int, x: Stream, positions: Ids, reading: Ids) -> Bounded:
    """What the heads of a block read at some rows: [row, head, dimension]."""
    heads = model.blocks[layer].heads
    if not heads.count:
        none = np.zeros((len(reading), 0, 0))
        return Bounded(none, none)
    queries, keys, values = _projected(model, layer, x, positions)
    before = model.begun[layer : layer + 1]
    out = []
    for row in reading.tolist():
        start, stop = row - int(positions[row]), row + 1  # of the text, up to this position
        count = len(before) + stop - start
        hidden = max(0, count - (model.config.window or count))
        seen_keys, seen_values = (
            stacked([*(part[i] for part in before), each[start:stop]])[hidden:]
            for i, each in enumerate((keys, values))
        )
        out.append(model.read_by(layer, queries[row : row + 1], seen_keys, seen_values))
    return stacked(out)


def _projected(model: Model, layer: int, x: Stream, positions: Ids) -> tuple[Bounded, Bounded, Bounded]:
    """Queries, keys and values of all rows."""
    found = [model.attend_from(layer, x[part], positions[part]) for part in _parts(len(positions))]
    queries, keys, values = (stacked([each[i] for each in found]) for i in range(3))
    return queries, keys, values


def _margins(model: Model, last: Stream, right: Sequence[tuple[int, ...]]) -> list[float]:
    """How far every right logit of each row surely is above all wrong ones."""
    found = np.empty(len(right))
    for part in _parts(len(right)):
        some, logits = last[part], model.logits(last[part])
        ids = np.array([each[0] for each in right[part]])
        found[part] = model.margins(some, logits, ids)
        for row, several in enumerate(right[part]):
            if len(several) > 1:
                each = [model.difference(some[[row]], logits[[row]], token) for token in several]
                apart = np.array([one.center[0] - one.error[0] for one in each])
                found[part.start + row] = np.delete(apart, several, axis=1).min()
    return [float(each) for each in np.nan_to_num(found, nan=-np.inf)]
