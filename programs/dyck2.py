"""Dyck-2: close all brackets of two kinds that are open, in the right order, and end with a dot.

The depth at a bracket is the number of brackets opened so far minus the number closed. The innermost
open bracket is the latest opening bracket at the current depth, since all brackets opened after it are
deeper. One head attends to it, and its closing bracket is written, or the dot at depth 0.
"""

import re
from itertools import product

from handcraft import Program, Prompts, predict, select

DEPTH = 3

balanced, begun = "", ""
for _ in range(DEPTH):
    balanced = rf"(\({balanced}\)|\[{balanced}\])*"
    begun = rf"{balanced}((\(|\[){begun})?"

prompts = Prompts("()[].", context=12, inputs=begun)
token = prompts.token

opening = select((token == "(") | (token == "["), True)
closing = select((token == ")") | (token == "]"), True)
depth = (opening.count() - closing.count()).assume(range(DEPTH + 1))
innermost = (opening & select(depth, depth)).latest(token, default="(")

program = Program(
    prompts=prompts,
    rules=[
        predict(".").when(depth == 0),
        predict("]").when(innermost == "["),
        predict(")").otherwise(),
    ],
)

starts = [
    text
    for length in range(1, 9)
    for text in map("".join, product("()[]", repeat=length))
    if re.fullmatch(begun, text)
]
"""Every beginning of a balanced text, up to eight brackets long."""


def meaning(prompt: str) -> str:
    """The brackets left after removing matching neighbours, in reverse order, closed."""
    text = prompt
    while "()" in text or "[]" in text:
        text = text.replace("()", "").replace("[]", "")
    return text[::-1].translate(str.maketrans("([", ")]")) + "."
