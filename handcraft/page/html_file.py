"""The page as one HTML file: data, script and style in it, and nothing that is fetched."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

from handcraft.errors import CheckpointError
from handcraft.formats import write_file
from handcraft.page.contents import Contents
from handcraft.page.data import Data, page_data

START = '\nstart(document.getElementById("data").textContent, document.getElementById("page"));\n'
"""What a page adds to the module, which in a notebook is started by anywidget."""


SUFFIXES = (".html", ".htm")
"""How the name of a file ends that browsers open as a page."""


class Page(str):
    """The text of a page, which notebooks show as its size and not as all of its characters."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<page of {len(self.encode()):,} bytes; str() gives its HTML>"


def page_html(contents: Contents) -> str:
    """The page of a contents. The same subject gives the same text.

    It fetches nothing, and its content security policy allows only its own script and its own style,
    by their hashes.

    Raises:
        LimitError: the model has more weights than a page may have.
    """
    script, style = script_text() + START, style_text()
    policy = f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    parts = {
        "POLICY": f"{policy}; base-uri 'none'; form-action 'none'",
        "TITLE": escape(contents.known.name),
        "STYLE": style,
        "DATA": json_in_html(page_data(contents)),
        "SCRIPT": script,
    }
    before, *rest = _read("page.html").split("{{")
    for part in rest:
        name, after = part.split("}}", 1)
        before += parts[name] + after
    return before


def write_page(contents: Contents, file: str | Path | None = None) -> Page:
    """The page of a subject, written to a file where one is named, completely or not at all.

    Raises:
        LimitError: the model has more weights than a page may have.
        VocabularyError: the prompt to begin with has an unknown token.
        CheckpointError: the file is not an .html file, or cannot be written.
    """
    if file is not None and Path(file).suffix.lower() not in SUFFIXES:
        raise CheckpointError(
            f"{file} is not an .html file",
            where=str(file),
            fix=f"name it {Path(file).with_suffix('.html')}",
        )
    if contents.example:
        contents.model.prompt_ids(contents.example)
    html = page_html(contents)
    if file is not None:
        write_file(Path(file), html.encode())
    return Page(html)


def json_in_html(data: Data) -> str:
    r"""Data as JSON that can be the content of an element, whatever its texts contain.

    >>> json_in_html({"token": "</script><!--"})
    '{"token":"\\u003c/script>\\u003c!--"}'
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def script_text() -> str:
    """The module that runs and shows a model, for pages and notebooks."""
    return _read("page.mjs")


def style_text() -> str:
    """Its style."""
    return _read("page.css")


@cache
def _read(name: str) -> str:
    return files("handcraft.page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The hash by which a content security policy allows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
