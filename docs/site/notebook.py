"""docs/tutorial.md as a notebook: its text as text cells, its examples as code cells, run in a kernel.

`python docs/site/notebook.py` writes docs/tutorial.ipynb anew.
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).resolve().parents[1]
PAGE = DOCS / "tutorial.md"
NOTEBOOK = DOCS / "tutorial.ipynb"

TRACEBACK = "Traceback (most recent call last):"

BLOCK = re.compile(r"^```python\n(?=>>> )(.*?)^```\n", re.MULTILINE | re.DOTALL)


def code_cells(block: str) -> Iterator[tuple[str, str]]:
    """The examples of a block as the source of cells, each with the output that the page shows.

    A notebook shows the last value of a cell only, so each example with an output ends a cell.
    """
    lines: list[str] = []
    for example in doctest.DocTestParser().get_examples(block):
        lines.append(example.source.rstrip("\n"))
        if example.want:
            yield "\n".join(lines), example.want.replace("<BLANKLINE>", "")
            lines = []
    if lines:
        yield "\n".join(lines), ""


def cells(page: str) -> Iterator[tuple[str, str, str]]:
    """The cells of a page: kind, source, and the output that the page shows."""
    end = 0
    for block in BLOCK.finditer(page):
        if text := page[end : block.start()].strip():
            yield "markdown", text, ""
        for source, output in code_cells(block[1]):
            yield "code", source, output
        end = block.end()
    if text := page[end:].strip():
        yield "markdown", text, ""


def notebook_of(page: str) -> nbformat.NotebookNode:
    """The notebook of a page, not run; the same page always gives the same notebook."""
    made = nbformat.v4.new_notebook()
    made.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, (kind, source, output) in enumerate(cells(page)):
        new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
        cell = new(source, id=f"cell-{number}")
        if output.startswith(TRACEBACK):
            cell.metadata.tags = ["raises-exception"]  # so that the notebook runs to its end
        made.cells.append(cell)
    return made


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run a notebook in a fresh kernel that starts in `folder`; keep what each cell shows as text."""
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.create_kernel_manager().transport = "ipc"  # nothing listens on a port
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ from run to run
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data = {"text/plain": output.data["text/plain"]}
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]


def shown(cell: nbformat.NotebookNode) -> str:
    """What a cell shows, as a page writes it."""
    texts = []
    for output in cell.outputs:
        match output.output_type:
            case "stream":
                texts.append(output["text"])
            case "error":
                texts.append(f"{TRACEBACK}\n    ...\n{output.traceback[0]}\n")
            case _:
                texts.append(output.data["text/plain"] + "\n")
    return "".join(texts)


def main() -> None:
    """Write docs/tutorial.ipynb."""
    made = notebook_of(PAGE.read_text(encoding="utf-8"))
    run(made, DOCS.parent)
    nbformat.write(made, NOTEBOOK)


if __name__ == "__main__":
    main()
