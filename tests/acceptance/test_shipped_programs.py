"""Every file in programs/ says what it is, is found by its name, and answers as it should.

Those with a `meaning` in plain Python write what that says: here on every prompt where they are few,
else on some hundred random ones; `make programs` tries many more.
"""

from __future__ import annotations

import ast

import numpy as np
import pytest
from gallery import FOLDER, REFUSED, WRITING, compiled, facts, pairs
from sweeps import part

from handcraft import compile_program
from handcraft.cli.input.shipped import shipped_programs, shipped_sizes, summary
from handcraft.cli.input.sources import find
from handcraft.errors import PrecisionError
from handcraft.formats import read_checkpoint, save
from handcraft.testing import assert_writes
from handcraft.testing.writing import prompts_of
from handcraft.verify import verify

FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".py", ".rules"))
SMALL = [path for path in FILES if path.stem in ("aab", "by_hand", "induction")]
"""Those of which every context can be tried."""

TARGETS = [("block", "float32"), ("gpt2", "float32"), ("gpt2", "bfloat16"), ("gpt2", "float16")]


def test_the_reference_programs_are_shipped():
    assert {"aab", "by_hand"} <= {path.stem for path in FILES}
    assert len(WRITING) >= 22


def test_shipped_programs_are_the_files_in_the_folder():
    assert {name: path.name for name, path in shipped_programs().items()} == {
        path.stem: path.name for path in FILES
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_says_in_one_line_what_it_is(path):
    assert summary(path).endswith((".", ":"))
    if path.suffix == ".py":
        text = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text))
        assert len(text.splitlines()) <= 64, "short enough to read in a minute"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_size_is_the_one_that_is_listed(path):
    """`make programs` writes them."""
    known = path.stem in WRITING
    made = compiled(path.stem) if known else compile_program(find(str(path)).source)
    shape = made.model.shape
    assert shipped_sizes()[path.stem] == {
        "blocks": shape.n_layer,
        "width": shape.n_embd,
        "heads": sum(len(block.heads) for block in made.circuits.blocks),
        "parameters": made.model.parameters,
    }


@pytest.mark.parametrize(("name", "architecture", "dtype"), pairs(WRITING, TARGETS))
def test_it_writes_what_it_means(name, architecture, dtype):
    known = facts(name)
    model = compiled(name, architecture, dtype).model
    longest, starts = known["program"].context, known["starts"]
    few = {"float32": 400 if architecture == "block" else 100, "bfloat16": 50, "float16": 20}[dtype]
    if not isinstance(starts, str):
        starts = starts[:: max(1, len(starts) // few)]
    tried = assert_writes(model, known["meaning"], starts, longest=longest, every_up_to=few, sample=few)
    assert tried >= min(few, 100)


TOO_COARSE = pairs([path.stem for path in FILES if path.suffix == ".py"], TARGETS, refused=True)


@pytest.mark.parametrize(("name", "architecture", "dtype"), TOO_COARSE)
def test_a_dtype_that_is_too_coarse_is_refused(name, architecture, dtype):
    with pytest.raises(PrecisionError):
        compiled(name, architecture, dtype)


@pytest.mark.parametrize(("name", "architecture", "dtype"), part(TOO_COARSE, 1))
def test_where_a_dtype_is_too_coarse_another_is_advised(name, architecture, dtype):
    """What is advised was compiled, which takes seconds."""
    with pytest.raises(PrecisionError) as caught:
        compiled(name, architecture, dtype)
    assert "float32" in caught.value.fix


def test_the_dtypes_that_hold_are_those_that_the_gallery_lists():
    """`make programs` writes them."""
    text = (FOLDER.parent / "docs" / "programs.md").read_text(encoding="utf-8")
    head = next(line.split(" | ") for line in text.splitlines() if line.startswith("| program |"))
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| [")]
    column = head.index("dtypes it compiles for")
    listed = {row[0].partition("]")[0].removeprefix("| ["): row[column].split(", ") for row in rows}
    assert listed == {
        path.stem: [dtype for dtype, refused in REFUSED.items() if path.stem not in refused]
        for path in FILES
    }


def test_the_chances_of_the_ngram_model_are_the_counted_ones():
    known = facts("ngram")
    program = known["program"]
    model = compiled("ngram").model
    tried = 0
    for rows in prompts_of(model, known["starts"], program.context, every_up_to=30_000, sample=500):
        logits = model.forward(rows)[:, -1].astype(np.float64)
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        for row, share in zip(rows[:: max(1, len(rows) // 200)], shares[:: max(1, len(rows) // 200)],
                              strict=True):  # fmt: skip
            meant = known["chances"](model.vocabulary.text(row))
            for token, chance in meant.items():
                assert abs(share[model.vocabulary.id(token)] - chance) < 1e-5
            tried += 1
    assert tried > 100


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("architecture", "dtype"), [("block", "float32"), ("block", "float64"), ("gpt2", "float32")]
)
def test_it_is_right_on_every_context(path, architecture, dtype):
    source = find(str(path)).source
    compiled = compile_program(source, architecture=architecture, dtype=dtype)
    report = verify(compiled.model, source)
    assert report.is_exhaustive
    assert report.tried == report.contexts > 0
    assert report.failures == ()
    assert report.passed
    assert report.margin > 0


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("architecture", "format"), [("gpt2", "huggingface"), ("block", "safetensors"), ("block", "npz")]
)
def test_what_was_written_is_right_on_every_context(path, architecture, format, tmp_path):
    source = find(str(path)).source
    compiled = compile_program(source, architecture=architecture)
    found = read_checkpoint(save(compiled, tmp_path / "out", format=format))
    assert verify(found.model, found.source).passed
    assert verify(found.model, source).passed
