"""The data card: what a data set contains, as README.md of its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handcraft.dataset.write_dataset import Written

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

CARD = """---
license: mit
pretty_name: Random programs and the transformers that compute them
size_categories:
- {size}
tags:
- interpretability
- transformers
- program-synthesis
---

# {programs:,} random programs, each with the weights of a {architecture} that computes it

Every program was compiled, not trained: its weights are exact, and the model was run against the
meaning of the program on every context or, if there are too many, on a sample; no answer was wrong.
A program is also called a script. The data set is for tools that recover scripts from weights.
Made by `handcraft dataset`; the same command gives the same bytes:

```
{command}
```

## Files

`shard-N.jsonl` has a line for each program, `shard-N.safetensors` the tensors of the same programs,
named `NUMBER/TENSOR` as in {checkpoints}. `dataset.json` has the hashes.

| field | what |
| --- | --- |
| `number` | the number of the program: even for rules with patterns, odd for rules over expressions |
| `kind` | `patterns` or `expressions` |
| `vocabulary`, `context` | the tokens in the order of their ids, and the most tokens of a text |
| `architecture`, `blocks`, `heads`, `width`, `parameters`, `nonzero_parameters` | the model's sizes |
| `rules` | how many rules the program has |
| `graph` | the script: one line for each value, then one for each rule |
| `text` | the script as a rule file; null if a rule file cannot express it |
| `python` | the script as Python prints it |
| `tried`, `tried_all` | on how many contexts the model was tried, and whether those are all |
| `smallest_margin` | the smallest logit margin on these contexts, in nats |
| `examples` | random prompts, and the answers of the model |
| `sha256` | the hash of the tensors |

## What it contains

| | programs |
| --- | --- |
{kinds}

All models together have {parameters:,} parameters. {repeated:,} candidates were left out because their
script is that of another program, and {refused:,} because they do not compile{reasons}.

## Limits

The programs are random: small, without purpose, and simpler than what people write. Names of values are
not in the weights. Which programs were refused depends on the compiler, so the data set is not a fair
sample of all programs.
"""


OF_GPT2 = "GPT-2 checkpoints, matrices stored [in, out]"

OF_LLAMA = """checkpoints of Llama without `model.`, matrices stored [out, in].
Every text starts with a begin token, whose id is the last one; `context` does not count it"""


def data_card(written: Written) -> str:
    """README.md of a data set."""
    settings = written.settings
    size = next((name for below, name in SIZES if settings.programs < below), "n>1M")
    reasons = ", ".join(f"{count:,} {why}" for why, count in written.refused.items())
    return CARD.format(
        size=size,
        programs=settings.programs,
        architecture=settings.architecture,
        checkpoints=OF_LLAMA if settings.architecture == "llama" else OF_GPT2,
        command=(
            f"handcraft dataset -o DIR --programs {settings.programs} --seed {settings.seed} "
            f"--shard {settings.shard} --architecture {settings.architecture} "
            f"--sample {settings.sample}"
        ),
        kinds="\n".join(f"| {kind} | {count:,} |" for kind, count in written.kinds.items()),
        parameters=written.parameters,
        repeated=written.repeated,
        refused=sum(written.refused.values()),
        reasons=f" ({reasons})" if reasons else "",
    )
