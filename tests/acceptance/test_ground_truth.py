"""The true circuits of the gallery: each edge has a witness, and the circuit keeps every answer."""

from __future__ import annotations

import pytest
from gallery import compiled
from slow_patching import slow_logits

from handcraft.ground_truth import of_compiled
from handcraft.ground_truth.circuit.carried import carried
from handcraft.ground_truth.circuit.find_circuit import find_circuit

TRUE = {
    "aab": 4, "add": 12, "counter_machine": 6, "dyck1": 9, "flipflop": 6, "induction": 11, "median": 5,
    "most_frequent": 12, "ngram": 5, "palindrome": 18, "parity": 4, "rule110": 8,
}  # fmt: skip
"""How many edges some answer depends on."""


@pytest.mark.parametrize("name", TRUE)
def test_every_answer_stays_with_all_edges_outside_the_circuit_patched(name):
    subject = of_compiled(compiled(name), name)
    circuit = find_circuit(subject, pairs=64, seed=0)
    assert circuit.kept == circuit.asked > 30
    assert len(circuit.true) == TRUE[name]
    ids = subject.model.vocabulary.numbers
    for finding in circuit.true:
        texts = ([ids[i] for i in t] for t in (finding.witness.clean, finding.witness.corrupted))
        assert carried(subject, finding.edge)
        if finding.edge.reader.number % 3 == 0:
            patched = slow_logits(subject.model, *texts, [finding.edge.name])[-1]
            assert patched.argmax() == finding.witness.wrong != finding.witness.right
    for finding in circuit.findings:
        if finding.connection == "scale":
            assert finding.effect < 1e-3, finding
