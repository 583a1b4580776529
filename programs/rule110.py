"""Rule 110: write the cellular automaton row after row, each cell from the three cells above it.

Three heads attend to earlier cells: the one above the next cell, and its neighbours. Read as a
binary number they are a row of the rule's table, and the table is the number 110 itself: the new cell
is its bit. Where the cell above is the sign `/`, the row is complete, and it counts as a dead cell for
its neighbours.
"""

from handcraft import Program, Prompts, predict, weighted

CELLS, ROWS = 10, 4

prompts = Prompts(
    "01/",
    context=ROWS * (CELLS + 1),
    inputs=f"[01]{{{CELLS}}}/",
    writes=(ROWS - 1) * (CELLS + 1),
)
token = prompts.token

above = token.at(-CELLS, default="0")
neighbours = weighted(token == "1", {-CELLS - 1: 4, -CELLS: 2, -CELLS + 1: 1})

program = Program(
    prompts=prompts,
    rules=[
        predict("/").when(above == "/"),
        predict(neighbours.map(lambda number: str(110 >> number & 1))).otherwise(),
    ],
)

starts = prompts.inputs
"""Any first row."""


def meaning(prompt: str) -> str:
    """The rows that follow, by the table of rule 110."""
    table = {
        "111": "0",
        "110": "1",
        "101": "1",
        "100": "0",
        "011": "1",
        "010": "1",
        "001": "1",
        "000": "0",
    }
    rows = [prompt.rstrip("/")]
    while len(rows) < ROWS:
        row = f"0{rows[-1]}0"
        rows.append("".join(table[row[i : i + 3]] for i in range(CELLS)))
    return "/".join(rows[1:]) + "/"
