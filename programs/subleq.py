"""SUBLEQ: run a machine with one instruction over 16 cells, which may rewrite its own program.

Subtract and branch if not positive: an instruction is three cells in a row. The first names the cell to
subtract, the second the cell to subtract from, and the third the cell to jump to if the result is not
positive. Otherwise the next three cells are the next instruction. This is enough to compute anything
computable. Cells have 4 bits, where 8 to f count as negative; a jump to P, which is -1, halts.

The text is the memory. `B5` writes 5 into cell B; the value of a cell is the last one written into it,
or 0 if none was. The prompt writes the program and the cell to start at. Each step adds three tokens:
the cell that changes, its new value, and the cell of the next instruction.
"""

from handcraft import Expression, Program, Prompts, lookup, predict, select

CELLS, VALUES = "ABCDEFGHIJKLMNOP", "0123456789abcdef"
STEPS = 21
LINE = "".join(f"{cell}[{VALUES}]" for cell in CELLS)

prompts = Prompts(CELLS + VALUES + ".", context=33 + 3 * STEPS, inputs=LINE + "A", writes=3 * STEPS)
token = prompts.token
before = token.at(-1, default=".")
value = token.map(lambda v: max(0, VALUES.find(v)))

into = lookup(lambda c, v: CELLS.find(c) if v in VALUES else -1, before, token)
"""The cell that is written here, or -1."""


def value_of(cell: Expression) -> Expression:
    """The value of a cell at this point of the text."""
    return select(into, cell).latest(value, default=0)


here, there = (place.map(lambda c: max(0, CELLS.find(c))) for place in (token, before))
left = lookup(lambda x, y: VALUES[(x - y) % 16], value_of(here), value_of(value_of(there)))
target = value_of((there + 2) % 16).at(-1, default=0)
start = token.at(-2, default="A").map(lambda c: max(0, CELLS.find(c)))
goes_on = lookup(lambda v, c, p: CELLS[c if v in "089abcdef" else (p + 3) % 16], token, target, start)

is_cell, was_cell = (place.map(lambda c: c in CELLS) for place in (token, before))

program = Program(
    prompts=prompts,
    rules=[
        predict(".").when((token == ".") | (token == "P") & ~was_cell),
        predict(value_of((here + 1) % 16).map(lambda v: CELLS[v])).when(is_cell & ~was_cell),
        predict(left).when(is_cell),
        predict(goes_on).otherwise(),
    ],
)

starts = prompts.inputs


def meaning(prompt: str) -> str:
    """Run the machine."""
    memory, at, text = [VALUES.index(v) for v in prompt[1:-1:2]], 0, ""
    while at != 15 and len(text) < STEPS * 3:
        first, second, third = (memory[(at + i) % 16] for i in range(3))
        memory[second] = (memory[second] - memory[first]) % 16
        at = third if memory[second] in (0, *range(8, 16)) else (at + 3) % 16
        text += CELLS[second] + VALUES[memory[second]] + CELLS[at]
    return text + "." * (at == 15)
