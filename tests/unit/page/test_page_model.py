"""page.mjs in node: its logits are those of NumPy, and what it says rules mean is what they mean."""

from fractions import Fraction

import numpy as np
import pytest
from gallery import WRITING, compiled, facts

from handcraft import Architecture, Program, Prompts, compile_program, predict, select, where
from handcraft.architecture import llama
from handcraft.model import Model, Shape
from handcraft.page import of_compiled, of_foreign, page_data
from handcraft.subject import Subject
from handcraft.vocabulary import Vocabulary
from handcraft.weights import Sizes

from .pages import COMPARED, PROGRAMS, SummedOnce, gallery_model, in_node, needs_node

pytestmark = needs_node


def _prompts(model, count, seed=0):
    rng = np.random.default_rng(seed)
    most = min(model.context, 24)
    return [
        rng.integers(0, model.shape.n_vocab, size=rng.integers(1, most + 1)).tolist()
        for _ in range(count)
    ]


def _assert_same(model, ids, found, within=1e-5):
    """Every logit within 1e-5 of NumPy's, relative to the largest of its prompt or 1."""
    for each, logits in zip(ids, found, strict=True):
        wanted = model.forward([each])[0]
        given = np.array(logits, dtype=np.float64).reshape(wanted.shape)
        bound = within * max(1, np.abs(wanted).max())
        assert np.abs(given - wanted).max() <= bound, (each, np.abs(given - wanted).max(), bound)


@pytest.mark.parametrize(("name", "architecture"), [*COMPARED, *((name, "block") for name in PROGRAMS)])
def test_its_logits_are_those_of_numpy_on_100_prompts(name, architecture, tmp_path):
    made = gallery_model(name, architecture)
    ids = _prompts(made.model, 100)
    found = in_node(tmp_path, page_data(of_compiled(made)), ids)["logits"]
    _assert_same(made.model, ids, found)
    for each, logits in zip(ids, found, strict=True):  # an absolute bound, however large the logits are
        wanted = SummedOnce.of(made.model).forward([each])[0]
        assert np.abs(np.reshape(logits, wanted.shape) - wanted).max() <= 1e-5, each


@pytest.mark.parametrize("activation", ["relu", "gelu_tanh", "gelu_erf"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_any_gpt2_has_the_logits_of_numpy(activation, causal, norm, tmp_path):
    rng = np.random.default_rng(7)
    architecture = Architecture(
        "made", norm=norm, activation=activation, causal=causal, tied=False, scales_by_layer=True
    )
    shape = Shape(5, 9, 12, 3, (8, 0, 20))
    tensors = {
        name: rng.normal(0, 0.35, sizes).astype(np.float32)
        for name, sizes in shape.tensors(architecture).items()
    }
    model = Model(architecture, shape, Vocabulary("abcde"), tensors)
    ids = [rng.integers(0, 5, size=n).tolist() for n in range(1, 10)]
    found = in_node(tmp_path, page_data(of_foreign(Subject("made", model=model), tmp_path)), ids)
    _assert_same(model, ids, found["logits"], within=3e-6)
    _assert_same(SummedOnce.of(model), ids, found["logits"], within=5e-7)


@pytest.mark.parametrize("window", [None, 1, 4])
@pytest.mark.parametrize(("heads", "shared", "width"), [(3, 3, None), (4, 2, 6), (6, 1, 2)])
def test_any_llama_has_the_logits_of_numpy(heads, shared, width, window, tmp_path):
    rng = np.random.default_rng(9)
    architecture = llama(theta=500.0, tied=window is None, window=window)
    shape = Shape(6, 10, 12, heads, (8, 20), shared, width)
    tensors = {
        name: rng.normal(0, 0.35, sizes).astype(np.float32)
        for name, sizes in shape.tensors(architecture).items()
    }
    model = Model(architecture, shape, Vocabulary("abcde"), tensors)
    ids = [rng.integers(0, 5, size=n).tolist() for n in range(1, 10)]
    data = page_data(of_foreign(Subject("made", model=model), tmp_path))
    found = in_node(tmp_path, data, ids, summed=ids[-1])
    _assert_same(model, ids, found["logits"], within=3e-6)
    _assert_same(SummedOnce.of(model), ids, found["logits"], within=5e-7)
    for kind, sums in found["sums"].items():
        assert (sums["plain"], sums["off"] <= 1e-6) == (0, True), (kind, sums)


def test_a_llama_has_every_intermediate_of_numpy(tmp_path):
    """Of queries and keys the rotated ones, side by side."""
    model = gallery_model("induction", "llama").model
    ids = [0, 1, 2, 0, 1]
    found = in_node(tmp_path, page_data(of_compiled(gallery_model("induction", "llama"))), traced=ids)
    trace = model.trace([model.vocabulary.token(each) for each in ids])
    assert set(trace) == {name for name in found["trace"] if "unrotated" not in name}
    for name, value in trace.items():
        wanted = value
        if value.ndim == 3 and not name.endswith((".scores", ".pattern")):
            wanted = value.swapaxes(0, 1).reshape(value.shape[1], -1)
        given = np.reshape(found["trace"][name], wanted.shape)
        if name.endswith(".scores"):
            given, wanted = np.tril(given), np.tril(wanted)
        bound = 1e-5 * max(1, np.abs(wanted).max())
        assert np.abs(given - wanted).max() <= bound, name


@pytest.mark.parametrize("name", sorted({*WRITING, *PROGRAMS} - {"by_hand"}))
def test_rules_mean_there_what_they_mean_here(name, tmp_path):
    program = facts(name)["program"]
    texts = [list(text) for text in _allowed(program, 40)]
    found = in_node(tmp_path, page_data(of_compiled(compiled(name, "block"))), (), texts)
    assert found["allowed"] == [True] * len(texts)
    for text, meant in zip(texts, found["meant"], strict=True):
        shares = program.distribution(text)
        most = max(shares.values())
        right = {token for token, share in shares.items() if share == most}
        assert set(meant["right"][-1]) == right, text
        assert not any(meant["broken"])


def _allowed(program, count):
    """Some allowed prompts."""
    tokens = program.vocabulary.tokens
    drawn = [text for batch in program.prompts.texts.draw(count) for text in batch.tolist()]
    return [[tokens[place] for place in text] for text in drawn]


@pytest.mark.parametrize("name", ["aab", "add", "dyck1", "parity"])
def test_its_prompts_are_the_allowed_ones(name, tmp_path):
    program = facts(name)["program"]
    found = in_node(tmp_path, page_data(of_compiled(compiled(name, "block"))))
    texts = program.prompts.texts
    assert found["total"] == pytest.approx(texts.count)
    longer = found["longer"]
    assert longer == [False] * len(longer)
    listed = {tuple(places) for places in found["listed"]}
    assert len(listed) == len(found["listed"]) == texts.count or len(found["listed"]) == 300
    for places in listed:
        program.prompts.check_allowed([program.vocabulary.tokens[place] for place in places])


def test_a_broken_assumption_is_said(tmp_path):
    prompts = Prompts("ab", context=4)
    before = prompts.token.at(-1, default="a").assume(["a"])
    program = Program(prompts=prompts, rules=[predict(before).otherwise()])
    made = compile_program(program, architecture="block")
    texts = [["a", "a", "b"], ["a", "b", "a"]]
    found = in_node(tmp_path, page_data(of_compiled(made)), (), texts)
    assert [each["broken"] for each in found["meant"]] == [[False, False, False], [False, False, True]]


def test_means_are_exact_fractions(tmp_path):
    prompts = Prompts("abc", context=7)
    share = select(prompts.position, prompts.position, "<=").mean(where(prompts.token == "a", 1, 0))
    rules = [predict("a").when(share >= Fraction(1, 3)), predict("b").otherwise()]
    program = Program(prompts=prompts, rules=rules)
    made = compile_program(program, architecture="block")
    texts = [list(text) for n in range(1, 8) for text in ("abc" * 3, "bca" * 3, "cccaa", "bbabbca")
             for text in [text[:n]]]  # fmt: skip
    found = in_node(tmp_path, page_data(of_compiled(made)), (), texts)
    meant = [each["right"][-1] for each in found["meant"]]
    assert meant == [[program.meaning(text)] for text in texts]


@pytest.mark.parametrize("architecture", ["gpt2", "block", "llama"])
@pytest.mark.parametrize("name", ["aab", "induction", "ngram"])
def test_every_number_is_the_sum_that_its_formula_says(name, architecture, tmp_path):
    made = compiled(name, architecture)
    data = page_data(of_compiled(made))
    found = in_node(tmp_path, data, summed=[0, 1, 0, 0])["sums"]
    kinds = {"embedding", "attn.query", "attn.scores", "attn.head_output", "attn.output", "logits"}
    assert kinds <= found.keys()
    for kind, sums in found.items():
        assert sums["count"] > 0
        assert sums["plain"] == 0, kind
        assert sums["off"] <= 1e-6, (kind, sums)


@pytest.mark.parametrize(
    ("name", "architecture", "more"),
    [
        *(
            (name, architecture, {})
            for name in ("aab", "induction", "sort")
            for architecture in ("gpt2", "block")
        ),
        ("aab", "llama", {"sizes": Sizes(n_kv_head=2)}),
        ("induction", "llama", {}),
        ("rule110", "llama", {"architecture": llama(tied=False)}),
    ],
)
def test_rows_and_columns_are_called_as_explain_calls_them(name, architecture, more, tmp_path):
    made = compiled(name, architecture)
    if more:
        made = compile_program(made.source, **{"architecture": architecture, **more})
    places = [
        (tensor, axis if len(sizes) == 2 else 1, i)
        for tensor, sizes in made.model.shape.tensors(made.model.architecture).items()
        for axis, size in enumerate(sizes)
        for i in range(min(size, 60))
    ]
    found = in_node(tmp_path, page_data(of_compiled(made)), named=places)["named"]
    for (tensor, axis, i), called in zip(places, found, strict=True):
        own = axis if made.model.tensors[tensor].ndim == 2 else 0
        assert called == made.weights.describe(tensor, own, i), (tensor, axis, i)


@pytest.mark.parametrize("architecture", ["block", "llama"])
@pytest.mark.parametrize("name", ["aab", "induction"])
def test_every_weight_serves_what_explain_says_and_a_zero_serves_nothing(name, architecture, tmp_path):
    made = compiled(name, architecture)
    places = [
        (tensor, *(index if len(index) == 2 else (0, *index)))
        for tensor, sizes in made.model.shape.tensors(made.model.architecture).items()
        for index in np.ndindex(sizes)
    ]
    found = in_node(tmp_path, page_data(of_compiled(made)), served=places)["served"]
    for (tensor, row, column), whats in zip(places, found, strict=True):
        index = (row, column) if made.model.tensors[tensor].ndim == 2 else (column,)
        assert whats == [origin.what for origin in made.origins(tensor, *index)], (tensor, index)
