"""Folders of Llamas that are made by hand, with the certificate of a program that they compute.

The stream has a part for the token itself, a constant, fillers that make the sum of squares a power of
four times the width, and for each number of positions back a part for the token that was there, which
says "none" in the embedding. A hidden unit recognizes one rule. All numbers are whole, and small.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from math import isqrt
from pathlib import Path

import highspy
import numpy as np
from safetensors.numpy import save_file

from handcraft import Program, Prompts, compile_program, predict, save

SIZE, KEY, GAP, SCALE = 8, 32.0, 112.0, 32.0
"""The root of the mean square, the length of keys, the least gap of scores, the margin of logits."""

LONGER = 2.0
"""So many times as long is the key of the begin token in its last pair."""


@dataclass(frozen=True)
class Recipe:
    """What a Llama is made of.

    Args:
        vocabulary: tokens, one character each.
        context: the most tokens of a text.
        rules: a pattern, of tokens and of dots for any token, and the token that follows; no two
            patterns of one text match.
        otherwise: what follows where no pattern matches.
    """

    vocabulary: str
    context: int
    rules: tuple[tuple[str, str], ...]
    otherwise: str
    head_dim: int = 16
    theta: float = 10_000.0
    is_tied: bool = False
    group: int = 2
    window: int | None = None
    epsilon: float = 1e-6

    @property
    def program(self) -> Program:
        """The same in rules."""
        prompts = Prompts(self.vocabulary, context=self.context)
        rules = [predict(token).after(pattern) for pattern, token in self.rules]
        return Program(prompts=prompts, rules=[*rules, predict(self.otherwise).otherwise()])

    @property
    def backs(self) -> list[int]:
        """How many positions back tokens are read."""
        patterns = [pattern[::-1] for pattern, _ in self.rules]
        return sorted({back for each in patterns for back, at in enumerate(each) if at != "." and back})


AAB = Recipe("ab", 5, (("aa", "b"),), "a")


def thirty_rules(context: int = 8) -> Recipe:
    """Thirty rules over eight tokens, of three tokens each."""
    letters = "abcdefgh"
    rng = np.random.default_rng(7)
    codes = rng.permutation(8**3)[:30]
    patterns = ["".join(letters[code // 8**i % 8] for i in range(3)) for code in codes]
    return Recipe(
        letters, context, tuple((p, letters[rng.integers(8)]) for p in patterns), "a", window=None
    )


def look_back(back: int, recipe: Recipe) -> np.ndarray:
    """The query that looks some positions back, or at the begin token where there are fewer.

    Scores are sums of a_j cos(w_j t) - b_j sin(w_j t) of the distance t; the key of the begin token is
    longer in the last pair. The sum of |a_j| and |b_j| is least under the condition that the right
    source leads by `GAP` at every distance.
    """
    half = recipe.head_dim // 2
    frequencies = recipe.theta ** (-np.arange(half) / half)

    def row(distance: int, *, is_begin: bool = False) -> np.ndarray:
        angles = frequencies * distance
        lengths = np.where(np.arange(half) == half - 1, LONGER if is_begin else 1.0, 1.0)
        return np.concatenate([lengths * np.cos(angles), -lengths * np.sin(angles)])

    window = recipe.window or recipe.context + 1
    rows = []
    for distance in range(min(recipe.context, window)):
        if distance != back:
            rows.append(row(back) - row(distance))
    for place in range(1, min(recipe.context, window - 1) + 1):  # of the model; 0 is the begin token
        begin = row(place, is_begin=True)
        if place > back:
            rows.append(row(back) - begin)
        else:
            rows += [begin - row(distance) for distance in range(place)]
    table = np.array(rows)
    solver = highspy.Highs()
    solver.silent()
    solver.setOptionValue("parallel", "off")
    size = table.shape[1]
    parts = [solver.addVariable(lb=0.0, obj=1.0) for _ in range(2 * size)]
    for each in table:
        terms = zip(np.concatenate([each, -each]).tolist(), parts, strict=True)
        solver.addConstr(sum(value * part for value, part in terms if abs(value) > 1e-8) >= GAP)
    solver.minimize()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    found = np.array(solver.getSolution().col_value)
    return found[:size] - found[size:]


def four_squares(total: int) -> list[int]:
    """Four whole numbers of which the squares have this sum (Lagrange)."""
    for a in range(isqrt(total), -1, -1):
        for b in range(isqrt(total - a * a), -1, -1):
            for c in range(isqrt(total - a * a - b * b), -1, -1):
                rest = total - a * a - b * b - c * c
                if isqrt(rest) ** 2 == rest and max(a, b, c, isqrt(rest)) < 128:
                    return [a, b, c, isqrt(rest)]
    raise AssertionError(total)


def tensors_of(recipe: Recipe) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """The tensors of a Llama, and its config."""
    letters, count, backs = recipe.vocabulary, len(recipe.vocabulary), recipe.backs
    symbols = count + 1  # and the begin token
    constant, fillers = symbols, np.arange(symbols + 1, symbols + 5)
    fields = {back: symbols + 5 + i * (symbols + 1) for i, back in enumerate(backs)}
    answer = symbols + 5 + len(backs) * (symbols + 1)
    width = 1 << (answer + (0 if recipe.is_tied else count + 1) - 1).bit_length()
    heads = max(recipe.group, -(-len(backs) // recipe.group) * recipe.group)
    width = max(width, 1 << (heads - 1).bit_length())
    embedding = np.zeros((symbols, width))
    embedding[:, :symbols] = np.eye(symbols)
    embedding[:, constant] = SIZE
    nones = [first + symbols for first in fields.values()]
    nones += [] if recipe.is_tied else [answer + count]
    embedding[:, nones] = 1
    rest = SIZE**2 * width - int(np.square(embedding[0]).sum())
    embedding[:, fillers] = four_squares(rest)
    dim, half = recipe.head_dim, recipe.head_dim // 2
    assert symbols + 1 <= dim
    q, o = np.zeros((heads, dim, width)), np.zeros((width, heads, dim))
    kv_heads = heads // recipe.group
    k, v = np.zeros((2, kv_heads, dim, width))
    v[:, :symbols, :symbols] = np.eye(symbols)
    v[:, symbols, constant] = 1 / SIZE
    k[:, :half, constant] = KEY / SIZE
    k[:, half - 1, count] = (LONGER - 1) * KEY
    for head, back in enumerate(backs):
        q[head, :, constant] = look_back(back, recipe) * np.sqrt(dim) / KEY / SIZE
        first = fields[back]
        o[first : first + symbols, head, :symbols] = np.eye(symbols)
        o[first + symbols, head, symbols] = -1
    inner = len(recipe.rules) + recipe.is_tied
    gate, up, down = np.zeros((inner, width)), np.zeros((inner, width)), np.zeros((width, inner))
    default = letters.index(recipe.otherwise)
    for unit, (pattern, token) in enumerate(recipe.rules):
        read = [(back, at) for back, at in enumerate(pattern[::-1]) if at != "."]
        for back, at in read:
            gate[unit, (fields[back] if back else 0) + letters.index(at)] = 256
        gate[unit, constant] = 256 * (0.5 - len(read)) / SIZE
        up[unit, constant] = 1 / 128 / SIZE
        if recipe.is_tied:
            down[letters.index(token), unit] += SIZE * 2
            down[default, unit] -= SIZE * 2
        else:
            down[answer + letters.index(token), unit] = 1
            down[answer + count, unit] = -1
    gain = np.zeros(width)
    if recipe.is_tied:
        gate[-1, constant], up[-1, constant] = 128 / SIZE, 1 / 128 / SIZE
        down[default, -1] = SIZE * 2
        gain[:symbols] = SCALE
    else:
        gain[answer : answer + count + 1] = SCALE * SIZE
    head = np.zeros((symbols, width))
    head[np.arange(count), answer + np.arange(count)] = 1 if not recipe.is_tied else 0
    if not recipe.is_tied:
        head[default, answer + count] = 1
    ones = np.full(width, float(SIZE))
    block = "model.layers.0"
    found = {
        "model.embed_tokens.weight": embedding,
        f"{block}.input_layernorm.weight": ones,
        f"{block}.self_attn.q_proj.weight": q.reshape(heads * dim, width),
        f"{block}.self_attn.k_proj.weight": k.reshape(kv_heads * dim, width),
        f"{block}.self_attn.v_proj.weight": v.reshape(kv_heads * dim, width),
        f"{block}.self_attn.o_proj.weight": o.reshape(width, heads * dim),
        f"{block}.post_attention_layernorm.weight": ones,
        f"{block}.mlp.gate_proj.weight": gate,
        f"{block}.mlp.up_proj.weight": up,
        f"{block}.mlp.down_proj.weight": down,
        "model.norm.weight": gain,
    }
    if not recipe.is_tied:
        found["lm_head.weight"] = head
    config = {
        "architectures": ["MistralForCausalLM" if recipe.window else "LlamaForCausalLM"],
        "model_type": "mistral" if recipe.window else "llama",
        "attention_bias": False,
        "bos_token_id": count,
        "dtype": "float32",
        "eos_token_id": None,
        "head_dim": dim,
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": inner,
        "max_position_embeddings": recipe.context + 1,
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": 1,
        "num_key_value_heads": kv_heads,
        "pad_token_id": None,
        "rms_norm_eps": recipe.epsilon,
        "rope_theta": recipe.theta,
        "rope_parameters": {"rope_theta": recipe.theta, "rope_type": "default"},
        "tie_word_embeddings": recipe.is_tied,
        "vocab_size": symbols,
    }
    if recipe.window:
        config["sliding_window"] = recipe.window
        del config["attention_bias"], config["mlp_bias"]
    return found, config


def in_bfloat16(tensor: np.ndarray) -> np.ndarray:
    """Rounded to eight digits, as float32."""
    bits = np.ascontiguousarray(tensor, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def write(folder: Path, tensors: dict[str, np.ndarray], config: dict[str, object]) -> None:
    """The two files of a model."""
    save_file({name: in_bfloat16(each) for name, each in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def make(folder: Path, recipe: Recipe) -> Path:
    """Write a folder: a Llama that computes a program, and the certificate that says which.

    The certificate is that of the program as a GPT-2, which says what is meant, of these files.
    """
    save(compile_program(recipe.program, architecture="gpt2"), folder)
    for path in folder.iterdir():
        if path.name != "certificate.json":
            path.unlink()
    write(folder, *tensors_of(recipe))
    certificate = json.loads((folder / "certificate.json").read_text())
    certificate["files"] = {
        name: sha256((folder / name).read_bytes()).hexdigest() for name in certificate["files"]
    }
    (folder / "certificate.json").write_text(json.dumps(certificate))
    return folder
