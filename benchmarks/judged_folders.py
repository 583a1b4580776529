"""Folders with a certificate, judged by running them: every context, in NumPy and float32."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from handcraft_check.claim import Claim
from handcraft_check.program.meaning import program_hash

WEIGHTS, CONFIG, CERTIFICATE = "model.safetensors", "config.json", "certificate.json"
TOKENIZER = "tokenizer.json"
NAMES = (CONFIG, CERTIFICATE, TOKENIZER)
F = np.float32


@dataclass
class Original:
    """The files of a program; a tokenizer that is None is not written."""

    tensors: dict[str, Any]
    config: dict[str, Any]
    certificate: dict[str, Any]
    tokenizer: dict[str, Any] | None

    @classmethod
    def read(cls, folder: Path) -> Original:
        """From the folder that it was compiled into."""
        read = [json.loads((folder / name).read_text("utf-8")) for name in NAMES]
        return cls(dict(load_file(folder / WEIGHTS)), *read)

    def write(self, folder: Path) -> None:
        """Write the files; the certificate has the hash of its program."""
        cert = self.certificate
        cert["program"] = program_hash(cert["contexts"], cert["meaning"])
        save_file(self.tensors, folder / WEIGHTS)
        (folder / CONFIG).write_text(json.dumps(self.config), "utf-8")
        (folder / CERTIFICATE).write_text(json.dumps(cert), "utf-8")
        if self.tokenizer is None:
            (folder / TOKENIZER).unlink(missing_ok=True)
        else:
            (folder / TOKENIZER).write_text(json.dumps(self.tokenizer), "utf-8")


def contexts(claim: Claim) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All contexts of a small domain, and what is meant after each.

    A text may be a context in two ways: as an input, and because an input ends earlier in it and the
    program writes the rest. Which of the two it is settles how much is written after it.

    Yields:
        for each length texts as places in the vocabulary, [text, position], and the places of tokens,
        [text]; below 0 where none is meant.
    """
    domain, width = claim.domain, len(claim.meaning.vocabulary)
    texts, states, written = (
        np.zeros((1, 0), dtype=np.int64),
        np.zeros(1, dtype=np.int64),
        np.array([-1]),
    )
    answers = np.array([-1])
    for length in range(1, domain.length + 1):
        rows, tokens = np.repeat(np.arange(len(texts)), width), np.tile(np.arange(width), len(texts))
        after = np.where(states[rows] >= 0, domain.next[states[rows], tokens], -1)
        after = np.where(length <= domain.length - domain.writes + 1, after, -1)
        is_input = (after >= 0) & domain.final[after]
        goes_on = (written[rows] >= 0) & (tokens == answers[rows])
        goes_on &= written[rows] + 1 < domain.writes
        stays = (after >= 0) | goes_on
        texts = np.concatenate([texts[rows], tokens[:, None]], axis=1)[stays]
        written = np.where(is_input, 0, np.where(goes_on, written[rows] + 1, -1))[stays]
        states, answers = after[stays], np.full(int(stays.sum()), -1)
        is_context = written >= 0
        if is_context.any():
            answers[is_context] = claim.meaning.answers(texts[is_context]).token
            yield texts[is_context], answers[is_context]


def drawn_contexts(
    claim: Claim, random: Random, count: int, given: Iterable[list[int]] = ()
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random inputs, all inputs that they begin with, and what is written after them.

    Args:
        claim: of which domain.
        random: decides which.
        count: how many inputs are drawn.
        given: other contexts, as places in the vocabulary.

    Returns:
        for each length the ids of the texts, [text, position], and of what is meant, [text].
    """
    domain, found = claim.domain, [*given]
    for _ in range(count):
        state, places = 0, list[int]()
        while len(places) <= domain.length - domain.writes:
            followers = [i for i, after in enumerate(domain.next[state].tolist()) if after >= 0]
            if not followers:
                break
            places.append(random.choice(followers))
            state = int(domain.next[state, places[-1]])
            if domain.final[state]:
                found.append(list(places))
                for _ in range(domain.writes - 1):
                    answer = int(claim.meaning.answers(np.array([found[-1]])).token[0])
                    found.append([*found[-1], answer])
    by_length: dict[int, list[list[int]]] = {}
    for places in found:
        by_length.setdefault(len(places), []).append(places)
    texts = [np.array(each, dtype=np.int64) for _, each in sorted(by_length.items())]
    return [
        (claim.token_ids[each], meant_ids(claim, claim.meaning.answers(each).token)) for each in texts
    ]


def logits(files: Original, ids: np.ndarray) -> np.ndarray:
    """The last logits in float32: [text, position] -> [text, vocab_size]."""
    c, t = files.config, {k.removeprefix("transformer."): v for k, v in files.tensors.items()}
    size, length = c["n_embd"] // c["n_head"], ids.shape[1]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + F(c["layer_norm_epsilon"]))
        return np.asarray(scaled * t[f"{name}.weight"] + t[f"{name}.bias"])

    def times(x: np.ndarray, name: str) -> np.ndarray:
        return np.asarray(x @ t[f"{name}.weight"] + t[f"{name}.bias"])

    x = t["wte.weight"][ids] + t["wpe.weight"][:length]
    for i in range(c["n_layer"]):
        qkv = times(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn")
        q, k, v = np.moveaxis(qkv.reshape(len(ids), length, 3, c["n_head"], size), 2, 0)
        scores = np.einsum("tqhd,tkhd->thqk", q, k)
        scores = scores / F(np.sqrt(size)) if c["scale_attn_weights"] else scores
        scores = scores / F(i + 1) if c["scale_attn_by_inverse_layer_idx"] else scores
        scores = np.where(np.tri(length, dtype=bool), scores, F(-np.inf))
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        out = np.einsum("thqk,tkhd->tqhd", powers / powers.sum(axis=-1, keepdims=True), v)
        x = x + times(out.reshape(x.shape), f"h.{i}.attn.c_proj")
        pre = times(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
        inner = F(np.sqrt(2 / np.pi)) * (pre + F(0.044715) * pre * pre * pre)
        x = x + times(F(0.5) * pre * (F(1) + np.tanh(inner)), f"h.{i}.mlp.c_proj")
    assert x.dtype == F
    return np.asarray(norm(x[:, -1], "ln_f") @ t["wte.weight"].T)


def least_margin(files: Original, claim: Claim) -> float:
    """The least margin of the answer that is meant, of all contexts; below 0 where one is wrong."""
    return least_of(files, [(claim.token_ids[t], meant_ids(claim, a)) for t, a in contexts(claim)])


def meant_ids(claim: Claim, answers: np.ndarray) -> np.ndarray:
    """The ids of tokens; -1 where none is meant."""
    return np.where(answers >= 0, claim.token_ids[answers], -1)


def least_of(files: Original, meant: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The least margin of the answers to some texts of ids, as `drawn_contexts` gives them."""
    with np.errstate(all="ignore"):
        return least_margin_of(lambda ids: logits(files, ids), meant)


def least_margin_of(
    run: Callable[[np.ndarray], np.ndarray], meant: Iterable[tuple[np.ndarray, np.ndarray]]
) -> float:
    """The least margin that a run shows.

    Args:
        run: gives the last logits of texts of ids: [text, position] -> [text, vocab_size].
        meant: texts of ids, and the ids of what is meant.
    """
    least = np.inf
    for ids, answers in meant:
        if (answers < 0).any():
            return -np.inf
        found, rows = np.array(run(ids), dtype=np.float64), np.arange(len(ids))
        own = found[rows, answers].copy()
        found[rows, answers] = -np.inf
        margins = own - found.max(axis=1)
        least = min(least, float(np.where(np.isnan(margins), -np.inf, margins).min()))
    return least


def permuted(files: Original, random: np.random.Generator) -> Original:
    """The same model with the dimensions of the stream and the hidden units in another order."""
    found = {}
    stream = random.permutation(files.config["n_embd"])
    for name, tensor in files.tensors.items():
        part = name.removeprefix("transformer.")
        block, _, kind = part.rpartition("mlp.")
        hidden = np.arange(len(stream))
        if kind in ("c_fc.weight", "c_fc.bias", "c_proj.weight") and block:
            size = files.tensors[f"{name.rpartition('mlp.')[0]}mlp.c_fc.bias"].size
            hidden = np.random.default_rng(size).permutation(size)
        if part.endswith(("wte.weight", "wpe.weight", "attn.c_proj.weight")):
            found[name] = tensor[:, stream]
        elif part.endswith("attn.c_attn.weight"):
            found[name] = tensor[stream]
        elif part.endswith("mlp.c_fc.weight"):
            found[name] = tensor[stream][:, hidden]
        elif part.endswith("mlp.c_fc.bias"):
            found[name] = tensor[hidden]
        elif part.endswith("mlp.c_proj.weight"):
            found[name] = tensor[hidden][:, stream]
        elif part.endswith("attn.c_attn.bias"):
            found[name] = tensor
        else:  # of a norm, or the bias of what is written to the stream
            found[name] = tensor[stream]
    tensors = {name: np.ascontiguousarray(each) for name, each in found.items()}
    return Original(tensors, files.config, files.certificate, files.tokenizer)
