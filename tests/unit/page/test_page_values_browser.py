"""Pages of models of values in a real browser: typed, clicked, broken, stepped through and compared."""

import numpy as np
import pytest

from handcraft import Prompts, compile_sequences, select, where

from .pages import PHONE, needs_chromium

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def counts():
    prompts = Prompts("ab", context=5, inputs="a[ab]*")
    token, position = prompts.token, prompts.position
    seen = select(token, token).count()
    share = select(position, position, "<=").mean(where(token == "a", 1, 0))
    return compile_sequences({"seen": seen, "share": share, "first": seen == 1})


def values_of(page, name):
    """The values of an output in the answer's table."""
    row = page.locator(".answer .positions tr.answer", has_text=name)
    return row.locator("td button").all_inner_texts()


def shown(values):
    return [
        {True: "yes", False: "no"}.get(each) if isinstance(each, bool) else str(each) for each in values
    ]


def test_the_values_of_every_position_are_those_of_apply(counts, opened):
    page = opened(counts)
    for text in ("a", "abaab", "abbba", "aaaaa"):
        page.fill("#prompt", text)
        for name, (values,) in counts.apply([text]).items():
            assert values_of(page, name) == shown(values), (text, name)
        assert "the expressions mean the same" in page.inner_text(".live")


def test_a_text_that_is_unknown_too_long_or_not_allowed_says_so(counts, opened):
    page = opened(counts, "ab")
    page.fill("#prompt", "abababa")
    alert = page.inner_text("[role=alert]")
    assert alert == "This text has 7 tokens. The expressions are made for up to 5."
    page.fill("#prompt", "ax")
    assert "x is not a token" in page.inner_text("[role=alert]")
    page.fill("#prompt", "ba")
    assert "This is not an allowed text" in page.inner_text(".answer")
    page.fill("#prompt", "ab")
    assert "not an allowed" not in page.inner_text(".answer")


def test_an_expression_is_chosen_and_its_lines_are_lit(counts, opened):
    page = opened(counts, "aba")
    assert page.inner_text("output") == "2"
    assert page.inner_text(".source .fired").strip() == "seen = select(token, token).count()"
    page.click(".rulelist button:text-is('first')")
    assert page.inner_text("output") == "no"
    assert "first at position 2" in page.inner_text(".live")
    assert "seen = select(token, token).count()" in "".join(
        page.locator(".source .used").all_inner_texts()
    )
    page.click(".answer .positions thead button >> nth=0")
    assert page.inner_text("output") == "yes"


def test_a_number_is_traced_back_to_weights(counts, opened):
    page = opened(counts, "aba")
    page.click(".answer [data-ref='outputs@2,1']")
    assert "the number of share" in page.inner_text(".drawer h2")
    assert "The nearest value is 2/3." in page.inner_text(".drawer")
    page.locator(".drawer table [data-ref]").first.click()
    assert "share" in page.inner_text(".drawer h2")


def test_a_broken_weight_changes_the_values_that_numpy_says(counts, opened):
    model = counts.model
    name = "h.0.mlp.c_proj.weight"
    row, column = map(int, np.argwhere(model.tensors[name])[0])
    page = opened(counts, "aba")
    page.select_option("#tensor", name)
    page.click(f".break table [data-ref='{name}@{row},{column}']")
    page.fill("#edit", "-3")
    page.press("#edit", "Enter")
    page.wait_for_selector("text=of all 31 prompts.")
    broken = {key: tensor.copy() for key, tensor in model.tensors.items()}
    broken[name][row, column] = -3
    other = type(model)(model.architecture, model.shape, model.vocabulary, broken)
    changed = 0
    for length in range(5):
        for number in range(2**length):
            text = (
                "a" + format(number, f"0{length}b").replace("0", "a").replace("1", "b")[: length or 0]
            )
            ids = np.array([counts.values.checked(text)])
            stored = type(counts.values)(other, counts.outputs, 5, counts.values.read).numbers(ids)
            wanted = counts.apply([text])
            changed += any(
                output.value(each) != value
                for output in counts.outputs
                for each, value in zip(stored[output.name][0], wanted[output.name][0], strict=True)
            )
    assert changed
    assert f"A value changes in {changed} of all 31 prompts." in page.inner_text(".failures")
    page.click("button:text-is('undo all')")
    assert page.inner_text(".failures") == ""


def test_the_rest_of_the_page_is_about_values_too(counts, opened):
    page = opened(counts, "aba")
    assert "The numbers of the outputs at position 2" in page.inner_text(".proof")
    rows = page.locator(".flow tr.answer").all_inner_texts()
    assert [row.split("\t")[0] for row in rows][:2] == ["the model's seen", "what it means"]
    while page.locator("button[aria-label='the next block']").is_enabled():
        page.click("button[aria-label='the next block']")
    assert "The values of this position" in page.inner_text(".steps")
    page.fill("#other", "aaa")
    row = page.locator(".compare tr.differs", has_text="the model's seen")
    assert row.locator("td").all_inner_texts() == ["2", "\u2260", "3"]
    words = page.inner_text("main")
    assert not {"undefined", "NaN", "logit"} & set(words.split())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_is_wide_enough_for_it(counts, opened, scheme):
    page = opened(counts, "abab", viewport=PHONE, scheme=scheme)
    page.click(".answer [data-ref='outputs@1,0']")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
