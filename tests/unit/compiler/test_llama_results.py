"""Every public method of a compiled Llama works, or says what would do."""

from __future__ import annotations

import pytest
from gallery import compiled

from handcraft.errors import HandcraftError

FORMATS = ("huggingface", "gguf", "onnx", "safetensors", "npz")


@pytest.fixture(scope="module")
def llama():
    return compiled("aab", "llama")


WORKS = {
    "complete": lambda c, _: c.complete("aab", 3) == "aab",
    "draw": lambda c, _: all(
        "svg" in c.draw(what=what, prompt="ab" if what in ("run", "attention", "stream") else None).svg
        for what in ("program", "circuit", "weights", "run", "attention", "stream")
    ),
    "explain": lambda c, _: "root mean square" in str(c.explain("aa")),
    "ground_truth": lambda c, to: c.ground_truth(to / "truth", what=["values"]).folder.is_dir(),
    "origins": lambda c, _: c.origins("layers.0.mlp.down_proj.weight", 1, 0)[0].what,
    "page": lambda c, to: "</html>" in c.page(to / "x.html"),
    "parametrize": lambda c, _: len(c.parametrize().args[1]) == 2,
    "report": lambda c, _: "RMSNorm" in str(c.report()),
    "save": lambda c, to: all(c.save(to / each, format=each).is_dir() for each in FORMATS),
    "symbolic": lambda c, _: c.symbolic().tensor("layers.0.self_attn.q_proj.weight").entries,
    "trace": lambda c, _: c.trace("aab").tokens[0] == "<s>",
    "verify": lambda c, _: c.verify().passed,
    "widget": lambda c, _: pytest.importorskip("anywidget") and '"<s>"' in c.widget().data,
}


@pytest.mark.parametrize("name", WORKS)
def test_every_method_works_with_a_llama(llama, name, tmp_path):
    assert WORKS[name](llama, tmp_path)


def test_every_method_is_tried():
    methods = {
        name
        for name in dir(type(compiled("aab", "llama")))
        if not name.startswith("_") and callable(getattr(compiled("aab", "llama"), name))
    }
    assert methods == WORKS.keys()


REFUSED = {
    "a picture of positions": (lambda c, _: c.draw(what="positions"), "draw circuit"),
    "a model for Raschka's book": (
        lambda c, to: c.save(to / "x", format="raschka"),
        "architecture gpt2",
    ),
    "its tensors by the names of GPT-2": (lambda c, _: c.symbolic().c_attn(), "q_proj"),
    "a formula with softmax": (lambda c, _: c.symbolic().logits("a"), 'attention="hard"'),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_llama_does_not_have_is_refused_with_what_would_do(llama, what, tmp_path):
    act, fix = REFUSED[what]
    with pytest.raises(HandcraftError) as caught:
        act(llama, tmp_path)
    assert fix in str(caught.value.fix)
    assert list(tmp_path.iterdir()) == []
