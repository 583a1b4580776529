"""circuit.json, edges.json, pairs.csv and examples.csv: the true circuit, and what shows it.

circuit.json is what `Graph.from_json` of EAP-IG 2.0 reads, and the circuit track of MIB. pairs.csv has
the columns that their data sets have, and some more.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence

from handcraft.display import count
from handcraft.ground_truth.circuit.carried import carried
from handcraft.ground_truth.circuit.carry_circuit import carry_circuit
from handcraft.ground_truth.circuit.find_circuit import Circuit, Finding, Witness, find_circuit
from handcraft.ground_truth.disguised import Disguised
from handcraft.ground_truth.json_file import json_bytes
from handcraft.ground_truth.part import Made, Part, Wanted
from handcraft.ground_truth.subject import LaidOut

CIRCUIT, EDGES, PAIRS, EXAMPLES = "circuit.json", "edges.json", "pairs.csv", "examples.csv"

COLUMNS = ("clean", "corrupted", "correct_idx", "incorrect_idx")
"""Those that EAP-IG and MIB read."""

DIGITS = 6
"""Significant digits of measured numbers: the last bits of a sum may depend on the machine."""


def make_circuit(subject: LaidOut, wanted: Wanted) -> Made:
    """The true circuit of a model, as files."""
    if isinstance(subject, Disguised):
        circuit = carry_circuit(subject, pairs=wanted.examples, seed=wanted.seed)
    else:
        circuit = find_circuit(subject, pairs=wanted.examples, seed=wanted.seed)
    files = {
        CIRCUIT: json_bytes(_graph_data(circuit)),
        EDGES: json_bytes({"edges": {f.edge.name: _edge_data(subject, f) for f in circuit.findings}}),
        PAIRS: _pairs(subject, circuit),
        EXAMPLES: _examples(subject, circuit, wanted.examples),
    }
    return Made(files, _summary(circuit), _lines(circuit))


def _graph_data(circuit: Circuit) -> dict[str, object]:
    """The graph as EAP-IG writes it."""
    used = {finding.edge.source.name for finding in circuit.true}
    nodes = {source.name: {"in_graph": source.name in used} for source in circuit.graph.sources}
    return {
        "cfg": circuit.graph.config,
        "nodes": {**nodes, "logits": {"in_graph": True}},
        "edges": {
            f.edge.name: {"score": _rounded(f.effect), "in_graph": f.is_true} for f in circuit.findings
        },
    }


def _edge_data(subject: LaidOut, finding: Finding) -> dict[str, object]:
    return {
        "weights": finding.connection,
        "carries": list(carried(subject, finding.edge)),
        "tried": finding.tried,
        "effect": _rounded(finding.effect),
        "moved": _rounded(finding.moved),
        "in_graph": finding.is_true,
    }


def _summary(circuit: Circuit) -> dict[str, object]:
    """What the manifest says."""
    connections = Counter(finding.connection for finding in circuit.findings)
    scale = [f for f in circuit.findings if f.connection in MEASURED and not f.is_true]
    of_disguise = {name: connections[name] for name in ("moved", "added") if connections[name]}
    return {
        "edges": len(circuit.findings),
        "true": len(circuit.true),
        "true_alone": sum(
            f.witness is not None and _patched(f.witness) == "alone" for f in circuit.true
        ),
        "no_pair_found": [
            {
                "edge": f.edge.name,
                "tried": f.tried,
                "effect": _rounded(f.effect),
                "moved": _rounded(f.moved),
            }
            for f in circuit.open
        ],
        "inert": {
            "proved": connections["unused"] + connections["unread"],
            "proved_up_to_scale": connections["scale"],
            **of_disguise,
            "largest_effect": _rounded(max((f.effect for f in scale), default=0.0)),
            "largest_logit_change": _rounded(max((f.moved for f in scale), default=0.0)),
        },
        "pairs": circuit.pairs,
        "pairs_are_all": circuit.is_all,
        "answers_kept_by_circuit": [circuit.kept, circuit.asked],
    }


def _lines(circuit: Circuit) -> tuple[str, ...]:
    added = sum(f.connection == "added" and not f.is_true for f in circuit.findings)
    false = len(circuit.findings) - len(circuit.true) - len(circuit.open) - added
    of_added = f"; {added:,} of heads that were added" if added else ""
    lines = [
        f"{len(circuit.findings):,} edges: {len(circuit.true)} that some answer depends on, each with "
        f"a pair of prompts; {false:,} that carry nothing that is read{of_added}",
        f"{circuit.kept:,} of {circuit.asked:,} answers stay when all other edges are patched at once",
    ]
    if circuit.open:
        names = ", ".join(finding.edge.name for finding in circuit.open[:SHOWN])
        more = f" and {len(circuit.open) - SHOWN} more" if len(circuit.open) > SHOWN else ""
        pairs = f"{'all' if circuit.is_all else 'any of'} {count(circuit.pairs, 'pair')}"
        lines.insert(1, f"no answer changed on {pairs} for {names}{more}")
    return tuple(lines)


MEASURED = ("scale", "moved", "added")
"""How edges are connected of which it is measured, and not proved, that nothing depends on them."""


def _patched(witness: Witness) -> str:
    """What is patched so that the answer of a witness changes: the edge alone, or others too."""
    others = [*witness.copies, *([] if witness.alone else ["all edges outside the circuit"])]
    return f"with {' and '.join(others)}" if others else "alone"


SHOWN = 3
"""How many edges without a pair are printed."""


def _pairs(subject: LaidOut, circuit: Circuit) -> bytes:
    """A witness for each true edge."""
    witnesses = [(f, f.witness) for f in circuit.true if f.witness is not None]
    rules = _rules(subject, [w.clean for _, w in witnesses])
    rows = [
        (
            *_row(subject, w.clean, w.corrupted, w.right, w.wrong),
            f.edge.name,
            _patched(w),
            w.changed,
            rule,
        )
        for (f, w), rule in zip(witnesses, rules, strict=True)
    ]
    return _csv((*COLUMNS, "edge", "patched", "changed_tokens", "rule"), rows)


def _examples(subject: LaidOut, circuit: Circuit, most: int) -> bytes:
    """Pairs of prompts with different answers, evenly taken from those that were run."""
    step = max(1, -(-len(circuit.examples) // most))
    rows = [_row(subject, e.clean, e.corrupted, e.right, e.wrong) for e in circuit.examples[::step]]
    return _csv(COLUMNS, list(dict.fromkeys(rows)))


def _row(
    subject: LaidOut, clean: Sequence[int], corrupted: Sequence[int], right: int, wrong: int
) -> tuple[object, ...]:
    vocabulary = subject.model.vocabulary
    texts = (vocabulary.join([vocabulary.tokens[i] for i in text]) for text in (clean, corrupted))
    return (*texts, right, wrong)


def _rules(subject: LaidOut, prompts: Sequence[Sequence[int]]) -> list[str]:
    """The rule that decides after each prompt, with the line where it was written."""
    meaning, tokens = subject.meaning, subject.circuits.vocabulary.tokens
    if meaning is None:
        return [""] * len(prompts)
    judged = [meaning.judged([tokens[place] for place in prompt]) for prompt in prompts]
    return [str(each.winner.origin) for each in judged]


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", errors="backslashreplace")


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


PART = Part(
    "circuit",
    "the edges that answers depend on, with pairs of prompts that show it",
    (CIRCUIT, EDGES, PAIRS, EXAMPLES),
    make_circuit,
)
