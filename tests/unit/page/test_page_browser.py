"""Pages in a real browser: Chromium opens the file, and a user types, clicks, edits and undoes."""

import re

import numpy as np
import pytest

from handcraft import Program, Prompts, compile_program, predict
from handcraft.circuits.lifetimes import lifetimes

from .pages import COMPARED, PHONE, SummedOnce, gallery_model, needs_chromium

pytestmark = needs_chromium


def answer(page):
    return page.inner_text("output")


@pytest.mark.parametrize(("name", "architecture"), COMPARED)
def test_its_logits_are_those_of_numpy_on_100_prompts(name, architecture, opened):
    compiled = gallery_model(name, architecture)
    model, vocabulary = compiled.model, compiled.model.vocabulary
    page = opened(compiled)
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, min(20, model.context) + 1, size=100)
    texts = [vocabulary.join(rng.choice(vocabulary.tokens, size=n)) for n in lengths]
    found = page.evaluate(
        "texts => texts.map((text) => document.getElementById('page').handcraft.run(text))", texts
    )
    for text, logits in zip(texts, found, strict=True):
        wanted = model.forward(text if vocabulary.is_characters else [text])[0]
        given = np.array(logits).reshape(wanted.shape)
        assert np.abs(given - wanted).max() <= 1e-5 * max(1, np.abs(wanted).max()), text
        exact = SummedOnce.of(model).forward(text if vocabulary.is_characters else [text])[0]
        assert np.abs(given - exact).max() <= 1e-5, text


def test_a_prompt_is_answered_and_the_line_of_its_rule_is_lit(opened):
    page = opened(gallery_model("aab"))
    page.fill("#prompt", "aab")
    assert answer(page) == "a"
    assert "the rules mean the same" in page.inner_text(".live")
    page.fill("#prompt", "abaa")
    assert answer(page) == "b"
    assert page.inner_text(".rulelist .fired code") == "predict b after aa"
    assert 'predict("b").after("aa")' in page.inner_text(".source .fired")
    page.fill("#prompt", "ab")
    assert page.inner_text(".rulelist .fired code") == "predict a otherwise"
    assert "2 of 3 hold; not: token == 'a'" in page.inner_text(".rulelist")


def test_an_unknown_token_is_named_and_the_last_answer_stays(opened):
    page = opened(gallery_model("aab"), "aa")
    page.fill("#prompt", "aax")
    assert "x is not a token. Use a b" in page.inner_text("[role=alert]")
    page.fill("#prompt", "aa")
    assert answer(page) == "b"
    assert page.locator("[role=alert]").count() == 0


def test_tokens_are_written_as_complete_writes_them(opened):
    compiled = gallery_model("aab")
    page = opened(compiled, "aab")
    page.click("text=write 10 tokens")
    assert page.input_value("#prompt") == "aab" + compiled.complete("aab", 10)


def test_a_prompt_that_is_not_allowed_is_promised_nothing(opened):
    page = opened(gallery_model("add"))
    assert "not an allowed prompt" not in page.inner_text(".answer")
    page.fill("#prompt", "1+1")
    assert "not an allowed prompt" in page.inner_text(".answer")


def test_a_longer_text_means_what_its_last_tokens_mean(opened):
    rules = [predict("b").after("aa"), predict("a").otherwise()]
    page = opened(compile_program(Program("ab", 3, rules), n_positions=3))
    page.fill("#prompt", "bbbaa")
    assert answer(page) == Program("ab", 3, rules).meaning("bbbaa") == "b"
    shown = page.inner_text(".answer")
    assert "the rules mean the same" in shown
    assert "This text has 5 tokens, of which the model sees the last 3." in shown
    assert "not an allowed prompt" not in shown
    assert "no proof is about those" not in shown  # one is about the last 3 tokens
    stated = Program(prompts=Prompts("ab", 3, inputs="[ab]+"), rules=rules)
    page = opened(compile_program(stated, n_positions=3))
    page.fill("#prompt", "bbbaa")
    assert "not an allowed prompt" in page.inner_text(".answer")


def test_a_model_with_more_positions_than_its_program_answers_longer_texts_by_the_same_rules(opened):
    compiled = gallery_model("aab")
    page = opened(compiled)
    wide = compiled.source.widened(9)
    for text in ("aabab", "aabaabaa", "aabaabaab"):
        page.fill("#prompt", text)
        assert answer(page) == wide.meaning(text)
        shown = page.inner_text(".answer")
        assert "the rules mean the same" in shown
        assert "not an allowed prompt" not in shown
        is_longer = "This text has" in shown
        assert is_longer == (len(text) > compiled.source.context)
    assert "The program is written for up to 5, and the model has 1,024 positions" in shown
    assert "no proof is about those" in shown


def test_a_number_that_is_clicked_says_why_it_is_what_it_is(opened):
    compiled = gallery_model("aab")
    page = opened(compiled, "aa")
    page.click(".answer table [data-ref^='logits@1,1']")
    assert "logit of b" in page.inner_text(".drawer h2")
    page.click(".drawer [data-ref='wte.weight@1,1']")
    text = page.inner_text(".drawer")
    assert "wte.weight[1, 1]" in text
    assert "row 1: token 'b'" in text
    wanted = compiled.explain("wte.weight", 1, 1)
    assert all(served.split(" (")[0] in text for served in wanted.serves)
    page.keyboard.press("Escape")
    assert page.locator(".drawer").is_hidden()


@pytest.mark.parametrize(
    ("architecture", "tensor", "place"),
    [("gpt2", "h.0.mlp.c_proj.weight", (0, 1)), ("llama", "layers.0.mlp.down_proj.weight", (1, 0))],
)
def test_a_broken_weight_changes_the_answers_that_numpy_says_and_undo_restores_them(
    architecture, tensor, place, opened
):
    compiled = gallery_model("aab", architecture)
    model = compiled.model
    page = opened(compiled, "aa")
    assert tensor in page.inner_text(".break table caption")
    page.click(f".break table [data-ref='{tensor}@{place[0]},{place[1]}']")
    page.fill("#edit", "-8")
    page.press("#edit", "Enter")
    page.wait_for_selector("text=of all 62 prompts.")
    broken = {name: each.copy() for name, each in model.tensors.items()}
    broken[tensor][place] = -8
    other = type(model)(model.architecture, model.shape, model.vocabulary, broken)
    changed = set()
    for length in range(1, 6):
        for number in range(2**length):
            text = format(number, f"0{length}b").replace("0", "a").replace("1", "b")
            if other.forward(text)[0, -1].argmax() != model.forward(text)[0, -1].argmax():
                changed.add(text)
    assert changed
    assert f"The answer changes after {len(changed)} of all 62 prompts." in page.inner_text(".failures")
    listed = page.locator(".failures tbody td:first-child").all_inner_texts()
    assert len(listed) == min(20, len(changed))
    assert set(listed) <= changed
    assert answer(page) == "a"
    assert "the rules mean b" in page.inner_text(".live")
    assert "You edited weights" in page.inner_text(".proof")
    page.fill("#edit", "-9")
    page.press("#edit", "Enter")
    assert page.locator(".edits li").count() == 2
    page.click(".edits >> text=/^undo$/")
    assert page.locator(".edits li").count() == 1
    assert page.inner_text(".drawer strong") == "-8"
    page.click("text=undo all")
    assert answer(page) == "b"
    assert page.inner_text(".failures") == ""


def test_a_llama_shows_its_begin_token_before_position_0(opened):
    page = opened(gallery_model("induction", "llama"), "abcab", viewport=PHONE)
    assert answer(page) == "c"
    head = page.locator(".flow thead th").all_inner_texts()
    assert [" ".join(each.split()) for each in head[1:4]] == ["begin <s>", "0 a", "1 b"]
    cells = page.locator(".flow tr.head").first.locator("td").all_inner_texts()
    assert cells == ["→<s>", "→<s>", "→0 a", "→1 b", "→2 c", "→3 a"]
    assert page.locator(".flow tr.answer").first.locator("td").all_inner_texts() == ["", *"aaabc"]
    page.click(".flow thead button >> nth=0")
    assert "The begin token <s> is before the text" in page.inner_text(".rules")
    assert "the begin token, <s>" in " ".join(page.inner_text(".steps").split())
    page.click("[aria-label='the block before']")
    row = page.locator(".steps tbody tr", has_text="position < 1").locator("td").all_inner_texts()
    assert row == ["-1"]
    page.click(".steps [aria-label='one position on'], .flow [aria-label='one position on']")
    assert "predict followed" in page.inner_text(".rulelist .fired code")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_rotated_query_is_explained_by_what_it_was_before(opened):
    compiled = gallery_model("aab", "llama")
    page = opened(compiled, "ab")
    page.click(".flow tr.head td:last-child button")
    page.click(".drawer [data-ref^='h.0.attn.scores']")
    assert "query times key of the head" in page.inner_text(".drawer")
    page.click(".drawer [data-ref^='h.0.attn.query'] >> nth=0")
    assert "The angle is 2: 2 times frequency 0." in page.inner_text(".drawer")
    page.click(".drawer [data-ref^='h.0.attn.unrotated_query'] >> nth=0")
    assert "before the rotation" in page.inner_text(".drawer h2")
    page.click(".drawer [data-ref^='layers.0.self_attn.q_proj.weight'] >> nth=0")
    assert "row 0: query of the head `token.at(-1)`: frequency 0, cos" in page.inner_text(".drawer")


def test_heads_say_where_they_look(opened):
    page = opened(gallery_model("induction"), "abcab")
    cells = page.locator(".flow tr.head").first.locator("td").all_inner_texts()
    assert cells[1:] == ["→0 a", "→1 b", "→2 c", "→3 a"]


def test_two_prompts_are_compared(opened):
    page = opened(gallery_model("aab"), "aa")
    page.fill("#other", "ba")
    row = page.locator(".compare tr.differs", has_text="the model predicts")
    assert row.locator("td").all_inner_texts() == ["b", "≠", "a"]


def test_all_of_it_works_by_keyboard_and_has_labels(opened):
    page = opened(gallery_model("aab"), "aa")
    page.focus("#prompt")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the first button: write the next token
    assert page.input_value("#prompt") == "aab"
    page.check("#stored")
    unnamed = page.evaluate("""() => [...document.querySelectorAll('input, select, button')]
        .filter((e) => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))
        .map((e) => e.outerHTML)""")
    assert unnamed == []
    assert page.locator("main section[aria-labelledby]").count() == 7
    assert page.locator("[aria-live=polite]").count() >= 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["aab", "sort", "add"])
def test_a_phone_is_wide_enough_and_text_has_contrast(name, scheme, opened):
    page = opened(gallery_model(name), viewport=PHONE, scheme=scheme)
    page.click(".answer table [data-ref]")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for selector in (".hc", ".live span", ".note", ".rulelist .fired"):
        assert contrast(page, selector) >= 4.5, selector


def contrast(page, selector):
    """The contrast ratio of WCAG 2 between a text and what is behind it."""
    colours = page.evaluate("""selector => {
        let element = document.querySelector(selector);
        const ink = getComputedStyle(element).color;
        const behind = () => getComputedStyle(element).backgroundColor;
        while (behind() === 'rgba(0, 0, 0, 0)') element = element.parentElement;
        return [ink, behind()];
    }""", selector)  # fmt: skip
    bright = []
    for colour in colours:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        bright.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    return max(bright) / min(bright)


def test_tokens_that_look_like_html_are_shown_as_text(opened):
    tokens = ["</script>", "<!--", "<b>bold</b>", "&lt;"]
    rules = [predict("<b>bold</b>").after("<!--"), predict("</script>").otherwise()]
    page = opened(compile_program(Program(tokens, 3, rules), architecture="block"))
    page.fill("#prompt", "</script> <!--")
    assert answer(page) == "<b>bold</b>"
    page.fill("#prompt", "&lt;")
    assert answer(page) == "</script>"
    assert page.locator("main b").count() == 0


def test_stored_values_are_named_only_while_they_are_stored(opened):
    compiled = gallery_model("induction")
    page = opened(compiled, "abcab")
    page.check("text=also the numbers that the model stores")
    rows = page.locator(".flow tr.stored th").all_inner_texts()
    assert rows[0] == "token"
    shown = page.locator(".flow tr.stored").first.locator("td").all_inner_texts()
    assert shown == list("abcab")
    reuses = [each for each in compiled.circuits.reuses if each.subspace.name in rows]
    assert reuses
    for reuse in reuses:
        kinds = page.eval_on_selector_all(".flow tbody tr", "all => all.map((row) => row.className)")
        names = page.locator(".flow tbody tr th").all_inner_texts()
        begun = names.index(reuse.subspace.name)
        begun -= next(n for n in range(begun) if kinds[begun - n] != "stored")
        assert reuse.within.name not in names[begun:]
    born = {each.name: life.born for each, life in lifetimes(compiled.circuits).items()}
    first = rows[: rows.index(next(row for row in rows if born[row]))]
    assert first == [row for row in first if born[row] == 0]
    assert {name for name, state in born.items() if state == 0} == set(first)


def test_the_widget_shows_the_same_in_a_notebook(browser):
    pytest.importorskip("anywidget", reason="anywidget, which shows widgets, is not installed")
    widget = gallery_model("aab", "block").widget(prompt="abaa")
    page = browser.new_page()
    page.set_content("<div id=cell></div>")
    page.add_style_tag(content=widget._css)
    page.evaluate(
        """async ([module, data]) => {
            const blob = new Blob([module], { type: "text/javascript" });
            const { default: widget } = await import(URL.createObjectURL(blob));
            const model = { get: (name) => ({ data })[name] };
            widget.render({ model, el: document.getElementById("cell") });
        }""",
        [widget._esm, widget.data],
    )
    assert page.inner_text("output") == "b"
    page.fill("#prompt", "ab")
    assert page.inner_text("output") == "a"
    page.close()


def test_conditions_that_hold_nowhere_are_shown_when_asked_for(opened):
    page = opened(gallery_model("aab"), "bb")
    named = page.locator(".flow tr.value th")
    assert not [name for name in named.all_inner_texts() if name.startswith("token == 'a'")]
    page.click("text=show 1 more that hold nowhere >> nth=0")
    assert [name for name in named.all_inner_texts() if name.startswith("token == 'a'")]
