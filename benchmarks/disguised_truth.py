"""The ground truth of disguised programs: edges, answers kept, interventions. A table in Markdown.

python benchmarks/disguised_truth.py aab induction parity
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from handcraft import disguise
from handcraft.cli.input.sources import compile_found, find
from handcraft.compiler import Compiled
from handcraft.disguise import Distract, Permute, Rotate, Split
from handcraft.ground_truth import Wanted, of_compiled, of_disguise
from handcraft.ground_truth.causal.part import make_causal
from handcraft.ground_truth.circuit.part import make_circuit

TRANSFORMS = (Split(2, 2), Distract(1, 8), Permute(), Rotate())


def row(name: str) -> str:
    """The row of a program."""
    compiled = compile_found(find(f"programs/{name}.py", ()).source)
    assert isinstance(compiled, Compiled)
    original = of_compiled(compiled, name)
    made = disguise(compiled, TRANSFORMS, seed=1)
    subject = of_disguise(original, made.model, made.carried, name=name)
    start = time.process_time()
    circuit: Mapping[str, Any] = make_circuit(subject, Wanted()).summary
    causal = make_causal(subject, Wanted()).summary
    seconds = time.process_time() - start
    true = make_circuit(original, Wanted()).summary["true"]
    kept, asked = circuit["answers_kept_by_circuit"]
    inert = circuit["inert"]
    exchanged = f"{causal['right']:,} of {causal['interventions']:,}"
    return (
        f"| `{name}` | {true} | {circuit['edges']} | {circuit['true']} | {inert['added']} "
        f"| {inert['largest_logit_change']:.1g} | {kept:,} of {asked:,} "
        f"| {causal['variables']} | {exchanged} | {seconds:.1f} |"
    )


if __name__ == "__main__":
    for each in sys.argv[1:]:
        print(row(each), flush=True)
