"""Random programs: what `build` makes of them means what `evaluate` says, whatever the text."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given, reject, settings
from hypothesis import strategies as st
from rasp_sequences import LABELS, sequences, texts
from sweeps import sweep

from handcraft import rasp
from handcraft.errors import DomainError


@given(sequences, texts, st.booleans())
@settings(max_examples=sweep(300))
def test_the_expressions_mean_what_is_published(sequence, texts, causal):
    try:
        built = rasp.build(sequence, LABELS, max_length=4, causal=causal)
    except DomainError as error:
        event(f"not built: {error.what}")
        reject()
    for text in texts:
        try:
            expected = rasp.evaluate(sequence, text, causal=causal)
        except DomainError:
            continue  # different labels have no mean
        assert built.trace(text) == expected, (text, sequence, built.outputs)
        known = [value for value in expected if value is not None]
        assert all(_is_known(value, built.value.domain) for value in known)


def _is_known(value: Any, domain: Any) -> bool:
    """Whether a value is in a domain, where flags among numbers are 0 and 1."""
    return value in domain or (value in (0, 1) and (int(value) in domain or bool(value) in domain))
