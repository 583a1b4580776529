"""README.md of a folder: the sizes and the steps of its own architecture."""

import re
from dataclasses import replace

import pytest
from gallery import facts

from handcraft import Program, compile_program, predict
from handcraft.architecture import llama
from handcraft.formats.huggingface.model_card import model_card
from handcraft.verify import Measured
from handcraft.weights import Sizes

CASES = {
    "gpt2": (
        {"architecture": "gpt2"},
        ["1 block, 1 head of", "1,024 positions, 3 tokens with padding"],
    ),
    "llama": (
        {"architecture": "llama"},
        [
            "1 block, 1 head of 4 channels, width 8, 1,024 positions after the begin token, 3 tokens",
            "the unembedding is the token embedding",
            "8 in 5, 21 in 6, 2 in 7",
            "Every text starts with the token `<s>`",
        ],
    ),
    "another llama": (
        {
            "architecture": llama(theta=500.0, epsilon=1e-5, tied=False, window=3),
            "sizes": Sizes(n_head=4, n_kv_head=2),
        },
        [
            "4 heads of 2 channels that share 2 heads of keys and values",
            "rotated with the base 500, RMSNorm adds 1e-05 to the mean square",
            "a matrix of its own. A position sees the last 3 positions",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_card_is_about_its_own_architecture(name):
    given, says = CASES[name]
    compiled = compile_program(facts("aab")["program"], **given)
    card = model_card(compiled, replace(compiled.verify(), facts=Measured(3, True)))
    for each in says:
        assert each in card
    others = {"gpt2": r"RMSNorm|begin token|rotated|keys and values|Llama"}
    assert not re.search(others.get(name, "LayerNorm|GPT-2|opposite"), card)
    assert not re.search(r"\b1 (blocks|heads|channels|tokens|positions|failures|contexts)\b", card)
    assert f"{'LayerNorm' if name == 'gpt2' else 'RMSNorm'} sees what is planned" in card


def test_one_of_a_thing_is_no_plural():
    """Of the smallest program that there is."""
    compiled = compile_program(Program("a", 1, [predict("a").otherwise()]), n_positions=1)
    card = model_card(compiled, compiled.verify())
    assert not re.search(r"\b1 (blocks|heads|channels|tokens|positions|failures|contexts)\b", card)
    assert "all 1 context of up to 1 token" in card
