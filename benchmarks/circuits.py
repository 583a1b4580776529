"""The true circuits of the gallery, and how long they take: `make bench-circuits`, or names.

Each program is compiled for gpt2. Seconds are processor time of one thread, without compiling.
"""

from __future__ import annotations

import sys
import time

from measuring import print_table

from handcraft.cli.input.shipped import shipped_programs
from handcraft.cli.input.sources import compile_found, find
from handcraft.ground_truth import of_compiled
from handcraft.ground_truth.circuit.find_circuit import find_circuit

PAIRS = 256
"""As `handcraft ground-truth` has it by default."""


HEAD = (
    "program",
    "edges",
    "true",
    "no pair",
    "inert, proved",
    "inert up to scale",
    "moves logits by",
    "pairs",
    "answers kept",
    "s",
)


def main(names: list[str]) -> None:
    """Print a row for each program."""
    rows = []
    for name in names:
        subject = of_compiled(compile_found(find(name).source), name)
        start = time.process_time()
        circuit = find_circuit(subject, pairs=PAIRS, seed=0)
        seconds = time.process_time() - start
        scale = [finding for finding in circuit.findings if finding.connection == "scale"]
        proved = sum(finding.connection in ("unused", "unread") for finding in circuit.findings)
        alone = sum(bool(f.witness and f.witness.alone) for f in circuit.true)
        moved = max((finding.moved for finding in scale), default=0.0)
        rows.append(
            (
                f"`{name}`",
                f"{len(circuit.findings):,}",
                f"{len(circuit.true)}" + (f" ({alone} alone)" if alone < len(circuit.true) else ""),
                str(len(circuit.open)),
                f"{proved:,}",
                str(len(scale)),
                f"{moved:.1g}",
                f"{circuit.pairs:,}" + (" (all)" if circuit.is_all else ""),
                f"{circuit.kept:,} of {circuit.asked:,}",
                f"{seconds:.1f}",
            )
        )
    print_table(HEAD, rows)


if __name__ == "__main__":
    main(sys.argv[1:] or list(shipped_programs()))
