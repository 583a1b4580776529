"""config.json of a GPT-2: the facts that decide the logits, each checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handcraft.architecture import GPT2, Activation, Architecture
from handcraft.errors import CheckpointError, HandcraftError, raise_all
from handcraft.formats.foreign_files import find_file, read_object, shown
from handcraft.model import Shape

CONFIG = "config.json"

DEFAULTS: Mapping[str, object] = {
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
"""What decides the logits, with the values that `GPT2Config` gives where config.json is silent."""

ALIASES = {
    "n_positions": "max_position_embeddings",
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
}
"""Other names under which `GPT2Config` takes a size."""

ACTIVATIONS: dict[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu_erf",
    "relu": "relu",
}
"""The activation functions, by their names in config.json; the first name of one is written."""

LARGEST = 2**31 - 1
"""The largest size that is accepted."""


@dataclass(frozen=True)
class Config:
    """The facts in config.json that decide the logits.

    The id `padding` fills up batches and does nothing else; None where there is none.
    """

    architecture: Architecture
    n_vocab: int
    n_positions: int
    n_embd: int
    n_layer: int
    n_head: int
    n_inner: int
    padding: int | None

    @property
    def shape(self) -> Shape:
        """The sizes, block by block; only once `n_layer` is known to be true."""
        inner = (self.n_inner,) * self.n_layer
        return Shape(self.n_vocab, self.n_positions, self.n_embd, self.n_head, inner)


def read_config(folder: Path) -> Config:
    """The facts in config.json, each checked by itself; code that it names is never read.

    Raises:
        CheckpointError: it is missing, damaged, of another architecture, or one fact is wrong.
        SeveralErrors: more than one fact is wrong.
    """
    path = find_file(folder, CONFIG)
    if path is None:
        raise CheckpointError(
            f"the folder has no {CONFIG}",
            where=folder,
            fix="name a folder that save_pretrained wrote",
        )
    found = read_object(path)
    if found.get("model_type") != "gpt2":
        raise CheckpointError(
            f"{CONFIG} is of a model of type {shown(found.get('model_type'))}",
            where=path,
            fix='only "gpt2" can be read',
        )
    facts = _Facts(path, found)
    n_embd, n_head = facts.size("n_embd"), facts.size("n_head")
    if not facts.problems and n_embd % n_head:
        facts.refuse(
            f"n_embd={n_embd} dimensions do not make n_head={n_head} equal heads",
            "n_embd must be a multiple of n_head",
        )
    if facts.flag("add_cross_attention"):
        facts.refuse("add_cross_attention is true", "only a model without cross-attention can be read")
    facts.flag("reorder_and_upcast_attn")  # an order of rounding, not another function
    config = Config(
        replace(
            GPT2,
            norm_epsilon=facts.epsilon(),
            activation=facts.activation(),
            tied=facts.flag("tie_word_embeddings"),
            scales_scores=facts.flag("scale_attn_weights"),
            scales_by_layer=facts.flag("scale_attn_by_inverse_layer_idx"),
        ),
        n_vocab=facts.size("vocab_size"),
        n_positions=facts.size("n_positions"),
        n_embd=n_embd,
        n_layer=facts.size("n_layer", least=0),
        n_head=n_head,
        n_inner=4 * n_embd if facts.value("n_inner") is None else facts.size("n_inner"),
        padding=_padding(found),
    )
    raise_all(facts.problems)
    return config


def _padding(found: Mapping[str, Any]) -> int | None:
    """The id of the padding token, unless it has another part to play as well."""
    padding, ends = found.get("pad_token_id"), found.get("eos_token_id")
    others = [found.get("bos_token_id"), *(ends if isinstance(ends, list) else [ends])]
    return padding if type(padding) is int and padding not in others else None


class _Facts:
    """Reads facts from config.json one by one, and collects what is wrong with them.

    A wrong fact is replaced by a right one, so that the others can be checked.
    """

    def __init__(self, path: Path, found: Mapping[str, Any]) -> None:
        self.path = path
        self.found = found
        self.problems: list[HandcraftError] = []

    def refuse(self, what: str, fix: str) -> None:
        self.problems.append(CheckpointError(what, where=self.path, fix=fix))

    def value(self, name: str) -> Any:
        other = ALIASES.get(name, name)
        if name in self.found and other in self.found and self.found[name] != self.found[other]:
            self.refuse(
                f"{name} is {shown(self.found[name])}, and {other} {shown(self.found[other])}",
                "they are two names of one size: leave one out",
            )
        return self.found.get(name, self.found.get(other, DEFAULTS[name]))

    def size(self, name: str, least: int = 1) -> int:
        value = self.value(name)
        if type(value) is int and least <= value <= LARGEST:
            return value
        self.refuse(f"{name} is {shown(value)}", f"it must be an integer from {least} to {LARGEST}")
        return 1

    def flag(self, name: str) -> bool:
        value = self.value(name)
        if isinstance(value, bool):
            return value
        self.refuse(f"{name} is {shown(value)}", "it must be true or false")
        return False

    def epsilon(self) -> float:
        value = self.value("layer_norm_epsilon")
        if type(value) in (int, float) and 0 <= value <= 1:
            return float(value)
        self.refuse(f"layer_norm_epsilon is {shown(value)}", "it must be a number from 0 to 1")
        return GPT2.norm_epsilon

    def activation(self) -> Activation:
        value = self.value("activation_function")
        if isinstance(value, str) and value in ACTIVATIONS:
            return ACTIVATIONS[value]
        self.refuse(
            f"activation_function is {shown(value)}",
            f"one of these can be read: {', '.join(ACTIVATIONS)}",
        )
        return GPT2.activation
