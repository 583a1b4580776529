"""The pack on engines that others wrote, in every dtype that they run in."""

from dataclasses import replace

import pytest
from conformance_pack import quick_pack, shared_pack
from sweeps import DEEP

from handcraft.conformance import run_pack


def tried_pack():
    """In a deep run the whole pack, else as few cases as tell all faults apart."""
    return shared_pack() if DEEP else quick_pack()


@pytest.mark.parametrize(
    ("engine", "dtype", "skipped"),
    [
        ("handcraft", "float32", {"beams"}),
        ("handcraft", "bfloat16", {"beams"}),
        ("onnxruntime", "float32", {"batch", "pieces", "beams", "encode"}),
        ("transformers", "float32", set()),
        ("transformers", "bfloat16", set()),
        ("transformers-eager", "float16", set()),
    ],
)
def test_an_engine_answers_as_the_pack_says(engine, dtype, skipped):
    pack = tried_pack()
    run = run_pack(pack, engine, dtype=dtype)
    assert run.findings == ()
    assert run.passed
    kinds = {case.id: case.kind for case in pack.cases}
    held = {case.id for case in pack.cases if dtype in case.margins}
    left_out = {result.id for result in run.results if result.state == "skipped"}
    assert {kinds[each] for each in left_out & held} == skipped & {kinds[each] for each in held}
    assert len(held) >= len(pack.cases) - 18


def test_transformers_counts_padding_where_it_is_given_ids_and_mask_alone():
    run = run_pack(tried_pack(), "transformers-forward")
    assert [finding.faults for finding in run.findings] == [("padding-counted",)]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_transformers_rounds_frequencies_where_a_model_is_cast(dtype):
    pack = tried_pack()
    pack = replace(pack, cases=tuple(case for case in pack.cases if "rope" in case.flags))
    run = run_pack(pack, "transformers-cast", dtype=dtype)
    assert [finding.faults for finding in run.findings] == [(f"rope-frequencies-{dtype}",)]
