"""README.md of a Hugging Face repository: what the model is, down to its dimensions."""

from __future__ import annotations

from math import isfinite

from handcraft.compiler import Compiled
from handcraft.display import count
from handcraft.language import Program, write_rules
from handcraft.model import Model, Shape
from handcraft.proofs import Proof
from handcraft.verify import Report
from handcraft.weights import Layout
from handcraft_check.program.words import at_least, at_most

GPT2_TITLE = "# A GPT-2 written by hand"
LLAMA_TITLE = "# A Llama written by hand"

BEGIN_TOKEN = (
    "\n\nEvery text starts with the token `{begin}`, which the tokenizer adds; batches are padded with "
    "it too, under an attention mask. State the dtype when the model is loaded, as in "
    '`from_pretrained(".", dtype=torch.bfloat16)`: `model.to(torch.bfloat16)` would round the '
    "frequencies of rotary positions as well, and answers may change."
)
"""What a card of a Llama adds to how it is loaded."""

PARAGRAPH = "\n\n"

MOST_RULES = 40
"""How many lines of rules a card shows."""


def model_card(compiled: Compiled, report: Report) -> str:
    """The card: rules, layout, sizes, what was verified, how to load it."""
    model, shape = compiled.model, compiled.model.shape
    sections = [
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\n"
        "tags:\n- handcraft\n- interpretability\n---",
        f"{_title(model)}\n\n"
        "Nothing here is trained: every weight was placed by a compiler and serves a rule. "
        "`handcraft.json` records which.",
        _source_section(compiled),
        "## How to load it\n\n```python\nfrom transformers import pipeline\n\n"
        'generate = pipeline("text-generation", model=".")\n'
        f"print(generate({_prompt(compiled)!r}, max_new_tokens=10))\n```{_begin_token(model)}",
        "## Sizes\n\n"
        f"{count(shape.n_layer, 'block')}, {_heads(shape)}, width {shape.n_embd}, "
        f"{_positions(model)}, {count(shape.n_vocab, 'token')} with {_extra(model)}, "
        f"{model.dtype.name}: {count(model.parameters, 'parameter')}, "
        f"{model.nonzero_parameters:,} of them not 0.{_computes(model)}",
        _verified_section(report, _norm(model)),
        _layout_section(compiled),
    ]
    return "\n\n".join(sections) + "\n"


def _title(model: Model) -> str:
    return GPT2_TITLE if model.begin_id is None else LLAMA_TITLE


def _begin_token(model: Model) -> str:
    if model.begin_id is None:
        return ""
    return BEGIN_TOKEN.format(begin=model.token_name(model.begin_id))


def _heads(shape: Shape) -> str:
    heads = f"{count(shape.n_head, 'head')} of {count(shape.head_dim, 'channel')}"
    if shape.kv_heads == shape.n_head:
        return heads
    return f"{heads} that share {count(shape.kv_heads, 'head')} of keys and values"


def _positions(model: Model) -> str:
    """The positions of a text."""
    after = "" if model.begin_id is None else " after the begin token"
    return f"{count(model.context, 'position')}{after}"


def _norm(model: Model) -> str:
    return "LayerNorm" if model.architecture.norm == "layer" else "RMSNorm"


def _computes(model: Model) -> str:
    """What the sizes of a Llama leave open; the facts of GPT-2 are the same for all."""
    architecture = model.architecture
    if architecture.theta is None:
        return ""
    head = "the token embedding" if architecture.tied else "a matrix of its own"
    window = (
        ""
        if architecture.window is None
        else f" A position sees the last {count(architecture.window, 'position')}, itself among them."
    )
    return (
        f" Queries and keys are rotated with the base {architecture.theta:,g}, RMSNorm adds "
        f"{architecture.norm_epsilon:g} to the mean square, and the unembedding is {head}.{window}"
    )


def _extra(model: Model) -> str:
    """The token that is none of the program."""
    return "padding" if model.begin_id is None else "the begin token"


def _prompt(compiled: Compiled) -> str:
    vocabulary = compiled.model.vocabulary
    words = vocabulary.join(vocabulary.tokens[: min(2, compiled.circuits.context)])
    return words + vocabulary.separator  # a pipeline appends its answer directly to the prompt


def _source_section(compiled: Compiled) -> str:
    source = compiled.source
    if compiled.written:
        lines = list(compiled.written)
        count = len(lines)
    elif not isinstance(source, Program):
        return "## What it computes\n\nIts circuits were laid out by hand, without rules."
    elif source.has_only_patterns:
        lines = write_rules(source, most=MOST_RULES).splitlines()
        count = len(source.rules) + len(lines) - len(source.rules[:MOST_RULES])
    else:
        lines = [str(rule) for rule in source.rules[:MOST_RULES]]
        count = len(source.rules)
    more = f"\n# and {count - MOST_RULES:,} more" if count > MOST_RULES else ""
    fence = "````"
    shown = "\n".join(lines[:MOST_RULES])
    return f"## The rules\n\nThe first rule that matches wins.\n\n{fence}\n{shown}{more}\n{fence}"


def _verified_section(report: Report, norm: str) -> str:
    longest = count(report.longest, "token")
    tried = (
        f"all {count(report.contexts, 'context')} of up to {longest}"
        if report.is_exhaustive
        else f"{count(report.tried, 'random context')} of up to {longest} (seed {report.seed})"
    )
    longer = f", and on {report.longer_in_words}" if report.longer else ""
    margin = (
        f" The right token's logit leads by at least {report.margin:g} nats."
        if isfinite(report.margin)
        else ""
    )
    facts = (
        f" That attention is hard, that {norm} sees what is planned and that no pre-activation is "
        f"near 0 was {report.facts.in_words}."
        if report.facts
        else ""
    )
    return (
        f"## Verified\n\nThese weights, in this dtype, were run on {tried}{longer}: "
        f"{count(report.failed, 'failure')}.{margin}{facts}"
    )


def with_proof(card: str, proof: Proof) -> str:
    """A card with a line below its title that says what is proved, and a section that says how."""
    titles = [f"{each}\n\n" for each in (GPT2_TITLE, LLAMA_TITLE)]
    (title,) = [each for each in titles if card.count(each) == 1]  # the one that `model_card` writes
    if proof.verdict == "proved":
        badge = f"> **Proved**: after {proof.domain}, {_what_is_proved(proof)}."
        section = (
            f"## Proved\n\nThe sentence at the top is proved {proof.arithmetic}, with sums in float32 "
            "or wider and in any order. `python -m handcraft_check .` shows it again from the weights, "
            "`config.json` and `certificate.json`, and `--regime bfloat16` whether it holds where each "
            "step is rounded to bfloat16; with `--print-program` it prints what is meant.\n"
        )
    else:
        badge = f"> **Sampled, not proved**: {proof.why}."
        section = "## Not proved\n\nThe answers were sampled, as stated above.\n"
    return f"{card.replace(title, title + badge + PARAGRAPH)}\n{section}"


def _what_is_proved(proof: Proof) -> str:
    """What holds after every prompt."""
    if proof.values:
        return "at every position each value is within its bound"
    if proof.distance is None:
        lead = "" if proof.margin is None else f", by at least {at_least(proof.margin)} nats"
        return f"the token that is meant has the highest logit{lead}"
    far = f"the probabilities are off by at most {at_most(proof.distance)} in total variation"
    if proof.margin is None:
        return far
    above = f"at least {at_least(proof.margin)} nats above all that cannot"
    return f"{far}, and tokens that can follow are {above}"


def _layout_section(compiled: Compiled) -> str:
    layout = compiled.layout
    rows = [
        f"| {_cell(subspace.name)} | {subspace.encoding.value} | {layout.start[subspace]} | "
        f"{subspace.width} |"
        for subspace in layout.subspaces
    ]
    mirrored = (
        "\n\nEvery dimension but those of scalars and of coded subspaces is followed by its opposite, "
        "`width` further on: LayerNorm then has a mean of 0 and one static sum of squares."
        if layout.is_mirrored
        else ""
    )
    if layout.constant:
        mirrored = (
            "\n\nFlags are stored as -1 and 1. The dimensions after these store constants: "
            f"{_constants(layout)}. The first serves in place of biases; the others complete the sum "
            "of squares by which RMSNorm divides."
        )
    head = "| subspace | encoding | first dimension | width |\n| --- | --- | --- | --- |"
    return "## The residual stream\n\n" + "\n".join([head, *rows]) + mirrored


def _constants(layout: Layout) -> str:
    return ", ".join(f"{number} in {dimension}" for dimension, number in layout.constants)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
