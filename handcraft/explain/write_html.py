"""An explanation as HTML, for notebooks: tables, without scripts or style sheets of its own."""

from __future__ import annotations

from html import escape

from handcraft.explain.explanation import Explanation
from handcraft.explain.sections import More, Table, sections


def write_html(explanation: Explanation) -> str:
    """The explanation as one element."""
    parts = []
    for section in sections(explanation):
        parts.append(f"<h4>{escape(section.title)}</h4>")
        for each in section.content:
            text = each.text if isinstance(each, More) else each
            parts.append(_table(text) if isinstance(text, Table) else f"<p>{escape(text)}</p>")
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
