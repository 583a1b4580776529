"""Refuses files beside the weights that make other tools load another model, or decode in another way.

A proof is about model.safetensors and config.json. transformers also looks for adapters, other
formats of weights and settings of generation in a folder, and vLLM reads every file of safetensors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from handcraft_check.errors import CheckError
from handcraft_check.folder.files import (
    CONFIG,
    GENERATION,
    JSON_UP_TO,
    TENSORS,
    read_bytes,
    read_json,
    tensor_names,
)

OURS = ("disguise", "freeze", "components", "activations", "featurizers")
"""Files of safetensors that `handcraft disguise` and ground truth write. They may be there if no class
has a tensor of a name in them."""

OTHERS = re.compile(
    r"(?!(model|" + "|".join(OURS) + r")\.safetensors\Z)("
    r".*\.safetensors(\.index\.json)?"
    r"|(model|pytorch_model|tf_model|flax_model|consolidated)\b.*\.(bin|pt|pth|ckpt|h5|msgpack|index\.json)"
    r"|adapter_(config|model)\b.*"
    r"|(hf_)?quant(ization|ize)?_config\.json"
    r"|params\.json"
    r")",
    re.IGNORECASE | re.DOTALL,
)
"""Names of files that some tool takes for the weights, or for what is to be done with them."""

WEIGHT = re.compile(r".*(weight|bias)", re.DOTALL)
"""Names of tensors that classes have."""

DECODING = {
    "do_sample": False,
    "num_beams": 1,
    "num_beam_groups": 1,
    "num_return_sequences": 1,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_length": 0,
    "guidance_scale": 1.0,
    "renormalize_logits": False,
    "remove_invalid_values": False,
}
"""The keys of generation_config.json of which one value, besides null, leaves the highest logit what is
generated."""

HARMLESS = {
    "_from_model_config",
    "bos_token_id",
    "eos_token_id",
    "max_length",
    "max_new_tokens",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "output_scores",
    "pad_token_id",
    "return_dict_in_generate",
    "temperature",
    "top_k",
    "top_p",
    "transformers_version",
    "use_cache",
}
"""Those that only decide where a text ends, how it is filled up, what is returned, or what is sampled
where something is."""


def check_beside(folder: Path, config: Any = None, token_ids: Collection[int | None] = ()) -> None:
    """Raise if files of a folder may make other tools load or generate what is not proved.

    Args:
        folder: a Hugging Face directory.
        config: the content of its config.json.
        token_ids: the ids of the tokens of a text, and that of the begin token, if there is one.

    Raises:
        CheckError: there is another file of weights, an adapter, or a setting that changes what is
            generated from the logits.
    """
    _check_padding(config, token_ids, CONFIG)
    for name in others(folder):
        raise CheckError(
            f"some tools load {name} in place of {TENSORS}, or with it",
            where=str(folder),
            fix=f"remove it: a proof is about {TENSORS} only",
        )
    path = folder / GENERATION
    if not path.exists():
        return
    data = read_json(read_bytes(path, JSON_UP_TO), GENERATION)
    if not isinstance(data, dict):
        raise CheckError("it is not an object", GENERATION)
    _check_padding(data, token_ids, GENERATION)
    for key, value in data.items():
        known = DECODING.get(key)
        if key in HARMLESS or value is None:
            continue
        if key not in DECODING or value != known or isinstance(value, bool) != isinstance(known, bool):
            raise CheckError(
                f"{key!r} is {value!r}, which may change what is generated from the logits",
                where=GENERATION,
                fix=f"remove {key!r}, or {GENERATION}: a proof is about logits",
            )


def _check_padding(data: Any, token_ids: Collection[int | None], where: str) -> None:
    """Raise if a token of a text is set as padding: `generate` of transformers masks padding."""
    found = data.get("pad_token_id") if isinstance(data, dict) else None
    if found is not None and (type(found) is not int or found in token_ids):
        raise CheckError(
            f"pad_token_id is {found!r}, and tools mask padding; no text may contain that token",
            where=where,
            fix="set it to null, or to a token that is in no text",
        )


def others(folder: Path) -> list[str]:
    """The names of the files that some tool may load in place of the weights, in order.

    Raises:
        CheckError: the folder cannot be read, or a file of `OURS` in it is damaged.
    """
    try:
        found = os.listdir(folder)
    except OSError as error:
        raise CheckError(f"cannot read it: {error.strerror}", where=str(folder)) from None
    return sorted(name for name in found if OTHERS.fullmatch(name) or _has_weights(folder, name))


def _has_weights(folder: Path, name: str) -> bool:
    """Whether a file of `OURS` has a tensor that a class may have too."""
    if name.lower() not in {f"{each}.safetensors" for each in OURS}:
        return False
    return any(WEIGHT.fullmatch(each) for each in tensor_names(folder / name))
