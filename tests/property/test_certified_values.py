"""What a certificate states of a model of values is what is read of the model, whatever it computes."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from handcraft import save
from handcraft.compiler import compile_sequences
from handcraft.errors import CompileError, PrecisionError
from handcraft.testing import declared_prompts, expressions
from handcraft_check.claim import read_claim

EXAMPLES = int(os.environ.get("HANDCRAFT_EXAMPLES", "60"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(["block", "gpt2"]))
def test_every_number_is_as_near_to_its_value_as_is_stated(data, architecture):
    prompts = data.draw(declared_prompts(max_tokens=3, max_context=3))
    given_ = {f"value {i}": data.draw(expressions(prompts=prompts, depth=1)) for i in range(2)}
    given_["always"] = given_["value 0"] == given_["value 0"]
    try:
        compiled = compile_sequences(given_, architecture=architecture)
    except (CompileError, PrecisionError):
        reject()
    with TemporaryDirectory() as folder:
        claim = read_claim(save(compiled, Path(folder) / "model"))
    for length in range(1, claim.domain.length + 1):
        texts = np.array([*product(range(len(claim.token_ids)), repeat=length)])
        numbers = compiled.values.numbers(texts)
        for row, text in enumerate(texts):
            values = claim.meaning.values(text)
            if values is None:  # it breaks an assumption
                continue
            for output, value in zip(claim.meaning.outputs, values, strict=True):
                off = abs(numbers[output.name][row, -1] - float(value))
                assert off <= float(output.within), (output.name, text)
