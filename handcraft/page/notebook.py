"""The page as a widget of a notebook, by anywidget."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from handcraft.compiler import Compiled, CompiledSequences
from handcraft.errors import ModelError
from handcraft.page.contents import of_compiled
from handcraft.page.data import page_data
from handcraft.page.html_file import script_text, style_text

if TYPE_CHECKING:
    import anywidget


def widget(compiled: Compiled | CompiledSequences, prompt: str = "") -> anywidget.AnyWidget:
    """A widget that runs a compiled program and explains its numbers.

    Raises:
        LimitError: the model has more weights than a page may have.
        ModelError: anywidget is not installed.
    """
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ModelError(
            f"{error.name} is not installed, and widgets need it",
            fix="pip install handcraft[notebook]; or write a page: compiled.page('model.html')",
        ) from error

    data = json.dumps(page_data(of_compiled(compiled).with_example(prompt)), ensure_ascii=False)

    class PageWidget(anywidget.AnyWidget):
        """The page: its module, its style, and its data as one trait."""

        _esm = script_text()
        _css = style_text()
        data: Any = traitlets.Unicode("").tag(sync=True)

    return PageWidget(data=data)
