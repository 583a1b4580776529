"""An explanation as HTML, for notebooks: tables, without scripts or style sheets of its own."""

from __future__ import annotations

from html import escape

from handcraft.explain.explanation import Explanation
from handcraft.explain.sections import Table, sections


def write_html(explanation: Explanation) -> str:
    """The explanation as one element."""
    parts = []
    for section in sections(explanation):
        parts.append(f"<h4>{escape(section.title)}</h4>")
        parts += [
            _table(each) if isinstance(each, Table) else f"<p>{escape(each)}</p>"
            for each in section.content
        ]
    return f'<div class="handcraft-explanation">{"".join(parts)}</div>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in table.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
