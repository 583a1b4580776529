"""How often a changed model or certificate stays proved, and whether one ever does that is wrong.

    python benchmarks/proof_mutations.py [COUNT]

Each mutation changes a weight, a key of config.json or a field of the certificate of a small program.
All contexts are then run in float32: it is harmful where an answer is not the one that is meant.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft_check.errors import CheckError
from handcraft_check.meaning import program_hash
from handcraft_check.prove import Claim, is_context, prove, read_claim

WEIGHTS, CONFIG, CERTIFICATE = "model.safetensors", "config.json", "certificate.json"
F = np.float32


def programs() -> dict[str, Program]:
    """Small programs, one of each kind of head and neuron."""
    found = {}
    prompts = Prompts("ab", context=4)
    token, position = prompts.token, prompts.position
    is_a, before = select(token, "a"), token.at(-1, default="b")
    found["latest"] = [predict("b").when(is_a.latest(position, default=0) >= 2)]
    found["earliest"] = [predict(is_a.earliest(before, default="b")).otherwise()]
    found["count"] = [predict("b").when(is_a.count() >= 2)]
    found["mean"] = [predict("b").when(select(position, position, "<=").mean(token == "a") > 0.6)]
    found["exists"] = [predict("b").when(is_a.exists() & (token == "b"))]
    found["before"] = [predict(before).when(position >= 1)]
    return {
        name: Program(
            prompts=prompts,
            rules=rules if name == "earliest" else [*rules, predict("a").otherwise()],
        )
        for name, rules in found.items()
    }


@dataclass
class Original:
    """The files of a program."""

    tensors: dict[str, Any]
    config: dict[str, Any]
    certificate: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Original:
        """From the folder that it was compiled into."""
        read = [json.loads((folder / name).read_text("utf-8")) for name in (CONFIG, CERTIFICATE)]
        return cls(dict(load_file(folder / WEIGHTS)), *read)

    def write(self, folder: Path) -> None:
        """Write the files; the certificate has the hash of its program."""
        cert = self.certificate
        cert["program"] = program_hash(cert["contexts"], cert["meaning"])
        save_file(self.tensors, folder / WEIGHTS)
        (folder / CONFIG).write_text(json.dumps(self.config), "utf-8")
        (folder / CERTIFICATE).write_text(json.dumps(cert), "utf-8")


def mutated_weight(random: Random, files: Original) -> str:
    """Change one weight."""
    name = random.choice(sorted(files.tensors))
    files.tensors[name] = tensor = files.tensors[name].copy()
    places = np.flatnonzero(tensor) if random.random() < 0.8 else np.arange(tensor.size)
    place = int(random.choice(places.tolist() or [0]))
    flat = tensor.reshape(-1)
    old = float(flat[place])
    new = random.choice(
        [
            0.0,
            -old,
            2 * old,
            old * (1 + random.choice([-1, 1]) * 2.0 ** -random.randint(1, 20)),
            old + random.gauss(0, 1) * 10 ** random.uniform(-4, 2),
            float(random.choice(flat.tolist())),
            random.choice([-1, 1]) * random.choice([1e6, 1e19, 1e30, 3e38]),
        ]
    )
    flat[place] = new
    return f"{name}[{place}]: {old} -> {new}"


def mutated_config(random: Random, files: Original) -> str:
    """Change one key of config.json."""
    width = files.config["n_embd"]
    values: dict[str, list[Any]] = {
        "n_head": [n for n in range(1, width + 1) if width % n == 0],
        "layer_norm_epsilon": [1e-12, 1e-6, 1e-3, 0.1, 0.9],
        "scale_attn_weights": [True, False],
        "scale_attn_by_inverse_layer_idx": [True, False],
        "n_layer": [1, 2, 3],
        "n_positions": [3, 4, 5],
        "num_hidden_layers": [1],
        "activation_function": ["gelu", "relu"],
        "tie_word_embeddings": [False],
    }
    key = random.choice(sorted(values))
    files.config[key] = random.choice(values[key])
    return f"{key}: {files.config[key]}"


def mutated_certificate(random: Random, files: Original) -> str:
    """Change one field of the certificate to another value that is legal there."""
    cert = files.certificate
    kind = random.choice(["ids", "vocabulary", "contexts", *["meaning"] * 5])
    if kind == "ids":
        ids = cert["token_ids"]
        random.shuffle(ids)
        if random.random() < 0.5:
            ids[0] = random.randrange(files.config["vocab_size"])
    elif kind == "vocabulary":
        random.shuffle(cert["vocabulary"])
    elif kind == "contexts":
        contexts = cert["contexts"]
        key = random.choice(["length", "writes", "final"])
        if key == "final":
            place = random.randrange(len(contexts["final"]))
            contexts["final"][place] = not contexts["final"][place]
        else:
            contexts[key] = random.randint(1, 4)
    else:
        return _mutated_part(random, cert["meaning"])
    return f"{kind}: {cert[{'ids': 'token_ids'}.get(kind, kind)]}"


def _mutated_part(random: Random, meaning: dict[str, Any]) -> str:
    """Change one value in the nodes or rules: a number, a flag, a name, or which node is read."""
    places: list[tuple[Any, Any]] = []

    def walk(part: Any) -> None:
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if isinstance(value, dict | list):
                walk(value)
            elif key != "op":
                places.append((part, key))

    walk(meaning["nodes"])
    walk(meaning["answer"])
    part, key = random.choice(places)
    old = part[key]
    relations, hows = ["==", "!=", "<", "<=", ">", ">="], ["latest", "earliest", "mean", "count"]
    if isinstance(old, bool):
        part[key] = not old
    elif isinstance(old, int):
        part[key] = old + random.choice([-1, 1, 2])
    elif old in relations or old in hows:
        part[key] = random.choice(relations if old in relations else hows)
    else:
        part[key] = random.choice(["a", "b", 0, None])
    return f"{key}: {old} -> {part[key]}"


MUTATIONS = {"weight": mutated_weight, "config": mutated_config, "certificate": mutated_certificate}


def contexts(claim: Claim) -> list[np.ndarray]:
    """All contexts of a small domain: for each length [text, position], places in the vocabulary."""
    found, size = [], len(claim.meaning.vocabulary)
    for length in range(1, claim.domain.length + 1):
        texts = np.stack([axis.reshape(-1) for axis in np.indices((size,) * length)], axis=1)
        found.append(texts[[is_context(claim, text.tolist()) for text in texts]])
    return [texts for texts in found if len(texts)]


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
    least = np.inf
    with np.errstate(all="ignore"):
        for texts in contexts(claim):
            answers = claim.meaning.answers(texts).token
            if (answers < 0).any():
                return -np.inf
            found, rows = logits(files, claim.token_ids[texts]), np.arange(len(texts))
            own = found[rows, claim.token_ids[answers]].copy()
            found[rows, claim.token_ids[answers]] = -np.inf
            margins = own - found.max(axis=1)
            least = min(least, float(np.where(np.isnan(margins), -np.inf, margins).min()))
    return least


def outcome(kind: str, random: Random, original: Original, folder: Path) -> tuple[str, bool, str]:
    """Mutate once: the verdict, whether all answers are right, and what was changed.

    Raises:
        AssertionError: it is proved, and a context has a lower margin than the proved one.
    """
    files = copy.deepcopy(original)
    what = MUTATIONS[kind](random, files)
    files.write(folder)
    try:
        claim = read_claim(folder, rehash=True)
        verdict = prove(folder, rehash=True, budget=1 << 13)
    except CheckError:
        return "refused", False, what
    least = least_margin(files, claim)
    assert verdict.word != "proved" or least >= verdict.margin, (what, least, verdict)
    assert verdict.word != "refuted" or least <= 0, (what, least, verdict)
    return verdict.word, least > 0, what


def main(count: int) -> None:
    """Print a table of the outcomes of `count` mutations."""
    table: Counter[tuple[str, str, str, bool]] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        for name, program in programs().items():
            folder = Path(temporary) / name
            compile_program(program).save(folder)
            original, random = Original.read(folder), Random(name)
            for _ in range(count // len(programs())):
                kind = random.choices(list(MUTATIONS), [6, 1, 3])[0]
                word, is_right, _ = outcome(kind, random, original, folder)
                table[name, kind, word, is_right] += 1
    print("| program | mutated | harmful | of these proved | harmless | of these proved | refused |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in [*programs(), "all"]:
        for kind in MUTATIONS:
            rows = [
                (word, is_right, n)
                for (p, k, word, is_right), n in table.items()
                if name in (p, "all") and k == kind
            ]
            cells = [
                sum(
                    n
                    for word, right, n in rows
                    if word != "refused" and right == flag and word in words
                )
                for flag in (False, True)
                for words in (("proved", "unproved", "refuted"), ("proved",))
            ]
            refused = sum(n for word, _, n in rows if word == "refused")
            print("|", " | ".join(map(str, [name, kind, *cells, refused])), "|")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
