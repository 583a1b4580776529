"""The file of a page: nothing is fetched, nothing foreign runs, the same bytes twice."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from gallery import facts

from handcraft import Program, Prompts, compile_program, predict, read_checkpoint, save
from handcraft.errors import (
    CheckpointError,
    HandcraftWarning,
    LimitError,
    ModelError,
    VocabularyError,
)
from handcraft.limits import PAGE_WEIGHTS, Limit
from handcraft.page import of_checkpoint, of_compiled, page_data, page_html

from .pages import PROGRAMS, gallery_model

FETCHES = r"(?i)https?:|//[a-z]+\.|@import|url\(|\bfetch\(|XMLHttp|eval\(|import\("
"""What a page that fetches something, or runs text as code, would contain."""

UNDER = 1_000_000
"""Bytes of a page of the gallery."""


class Elements(HTMLParser):
    """The elements of a page: name, attributes and text."""

    def __init__(self, html):
        super().__init__()
        self.found, self.is_open = [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])
        self.is_open = True

    def handle_data(self, data):
        if self.is_open:
            self.found[-1][2] += data

    def handle_endtag(self, tag):
        self.is_open = False

    def named(self, tag):
        return [each for each in self.found if each[0] == tag]


@pytest.mark.parametrize("name", [*PROGRAMS, "subleq"])
def test_a_page_of_the_gallery_is_below_a_megabyte_and_fetches_nothing(name):
    html = page_html(of_compiled(gallery_model(name)))
    assert len(html.encode()) < UNDER
    without_data = re.sub(r'(?s)<script type="application/json".*?</script>', "", html)
    assert not re.search(
        r"(?i)https?:|//[a-z]+\.|@import|url\(|\bfetch\b|XMLHttp|eval\(|import\(", without_data
    )
    elements = Elements(html)
    assert not [each for each in elements.found if {"src", "href"} & each[1].keys()]


def test_only_its_own_script_and_style_may_run():
    elements = Elements(page_html(of_compiled(gallery_model("aab"))))
    policy = next(a["content"] for _, a, _ in elements.named("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    data, script = elements.named("script")
    assert data[1] == {"type": "application/json", "id": "data"}
    (style,) = elements.named("style")
    for kind, text in (("script", script[2]), ("style", style[2])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


HOSTILE = ["</script>", "<!--", "<script>", "]]>", "{{SCRIPT}}", "&lt;", "a\"'`${1}"]


def test_tokens_that_look_like_html_stay_data():
    program = Program(HOSTILE, 2, [predict("<!--").after("</script>"), predict("]]>").otherwise()])
    html = page_html(of_compiled(compile_program(program, architecture="block"), "</title><b>"))
    elements = Elements(html)
    data, _ = elements.named("script")
    assert json.loads(data[2])["tokens"] == HOSTILE
    assert not elements.named("b")
    assert len(elements.named("script")) == 2


def test_the_same_program_gives_the_same_bytes(tmp_path):
    pages = []
    for n in range(2):
        program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
        compiled = compile_program(program)
        pages.append(compiled.page(tmp_path / f"{n}.html"))
    first, second = ((tmp_path / f"{n}.html").read_bytes() for n in range(2))
    assert first == second == pages[0].encode()


@pytest.mark.parametrize("name", ["induction", "aab"])
def test_a_folder_gives_the_data_of_its_program_but_the_text_of_its_file(name, tmp_path):
    program = facts(name)["program"]
    compiled = compile_program(program)
    folder = compiled.save(tmp_path / name)
    here = page_data(of_compiled(compiled))
    there = page_data(of_checkpoint(read_checkpoint(folder)))
    for key in ("tensors", "values", "served", "tokens", "architecture", "names", "stored"):
        assert there[key] == here[key], key
    for key in ("context", "widens", "seesLast", "claim"):
        assert there[key] == here[key], key
    assert (here["context"], here["widens"]) == (program.context, program.has_only_patterns)
    assert there["meaning"]["nodes"] == here["meaning"]["nodes"]
    assert [text for text, *_ in there["rules"]] == [text for text, *_ in here["rules"]]
    assert there["source"] is None
    assert str(tmp_path) not in json.dumps(there)


def test_the_rules_of_a_page_are_those_of_its_meaning(tmp_path):
    """Not all rules that are written: one that never fires is no rule of the certificate."""
    prompts = Prompts("ab", context=4)
    is_a = prompts.token == "a"
    rules = [predict("b").when(is_a & ~is_a), predict("a").when(is_a), predict("b").otherwise()]
    with pytest.warns(HandcraftWarning, match="never fire"):
        program = Program(prompts=prompts, rules=rules)
    compiled = compile_program(program)
    here = page_data(of_compiled(compiled))
    there = page_data(of_checkpoint(read_checkpoint(compiled.save(tmp_path / "never"))))
    for data in (here, there):
        assert len(data["rules"]) == len(data["meaning"]["answer"]["rules"]) == 2
    assert [rule[:2] for rule in there["rules"]] == [rule[:2] for rule in here["rules"]]


def test_circuits_are_compared_with_what_they_should_mean(tmp_path):
    found = facts("by_hand")
    compiled = compile_program(found["circuits"])
    assert page_data(of_compiled(compiled))["meaning"] is None
    here = page_data(of_compiled(compiled, means=found["means"]))
    folder = save(compiled, tmp_path / "by_hand", meaning=found["means"])
    there = page_data(of_checkpoint(read_checkpoint(folder)))
    for data in (here, there):
        assert [text for text, *_ in data["rules"]] == list(map(str, found["means"].rules))
    assert there["meaning"]["nodes"] == here["meaning"]["nodes"]


def test_a_folder_without_certificate_says_so_and_not_where_it_was(tmp_path):
    folder = gallery_model("induction").save(tmp_path / "induction")
    (folder / "certificate.json").unlink()
    data = page_data(of_checkpoint(read_checkpoint(folder)))
    assert data["meaning"] is None
    assert data["noMeaning"] == "the folder has no certificate"


def test_no_path_of_the_machine_is_in_a_page():
    html = page_html(of_compiled(gallery_model("aab")))
    assert '"aab.py:9:9"' in html
    assert "/programs/aab.py" not in html


def test_every_weight_has_the_origins_that_explain_gives():
    compiled = gallery_model("induction")
    data = page_data(of_compiled(compiled))
    for name, tensor in compiled.placement.tensors.items():
        found = {}
        for *index, length, listed in data["served"][name]:
            whats = [data["origins"][n][0] for n in data["lists"][listed]]
            for step in range(length):
                found[(*index[:-1], index[-1] + step)] = whats
        assert found == {i: [o.what for o in each] for i, each in tensor.origins.items()}


def test_a_page_has_a_limit(monkeypatch):
    monkeypatch.setattr("handcraft.page.data.PAGE_WEIGHTS", Limit(100, PAGE_WEIGHTS.noun))
    with pytest.raises(
        LimitError, match="13,416 weights that are not 0 on a page; the limit is 100"
    ) as caught:
        gallery_model("aab").page()
    assert "handcraft explain" in caught.value.fix


def test_a_page_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        gallery_model("aab", "block").page(tmp_path / "file" / "page.html")


def test_a_notebook_shows_the_size_of_a_page_and_not_its_text(tmp_path):
    file = tmp_path / "page.html"
    page = gallery_model("aab", "block").page(file)
    assert str(page) == page == file.read_text(encoding="utf-8")
    assert repr(page) == f"<page of {file.stat().st_size:,} bytes; str() gives its HTML>"


def test_a_page_is_written_to_an_html_file_only(tmp_path):
    compiled = gallery_model("aab", "block")
    with pytest.raises(CheckpointError, match=r"page\.txt is not an \.html file") as refused:
        compiled.page(tmp_path / "page.txt")
    assert list(tmp_path.iterdir()) == []
    compiled.page(refused.value.fix.removeprefix("name it "))
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_prompt_to_begin_with_must_be_one():
    with pytest.raises(VocabularyError, match="'x' is not in the vocabulary"):
        gallery_model("aab", "block").page(prompt="axb")


def test_without_anywidget_the_error_names_a_page(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "anywidget", None)
    with pytest.raises(ModelError, match="anywidget is not installed") as caught:
        gallery_model("aab", "block").widget()
    assert "compiled.page" in caught.value.fix


def test_a_widget_has_the_module_and_the_data_of_the_page():
    pytest.importorskip("anywidget", reason="anywidget, which shows widgets, is not installed")
    compiled = gallery_model("aab", "block")
    widget = compiled.widget(prompt="aab")
    assert "export default" in widget._esm
    assert json.loads(widget.data)["example"] == "aab"
    assert json.loads(widget.data)["tensors"] == page_data(of_compiled(compiled))["tensors"]
