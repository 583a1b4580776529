"""Brackets: open and close so that the text is balanced when the context is full.

Once opening brackets fill half of the context, all others must be closing ones. If the mean of all
brackets, 1 for `(` and -1 for `)`, is 0, nothing is left to close, and a bracket opens. Otherwise the
last two tokens decide: after two opening brackets one closes, else one opens.
"""

from itertools import product

from handcraft import Program, Prompts, predict, select

CONTEXT = 16

prompts = Prompts("()", context=CONTEXT)
token = prompts.token

opened = select(token, "(").count()
balance = prompts.everything.mean(token.map({"(": 1, ")": -1}))

program = Program(
    prompts=prompts,
    rules=[
        predict(")").when(opened >= CONTEXT // 2),
        predict("(").when(balance <= 0),
        predict(")").after("(("),
        predict("(").otherwise(),
    ],
)


def can_end_balanced(text: str) -> bool:
    """Whether only open brackets are closed, and all open ones can be closed within the context."""
    open_after = [text[:end].count("(") - text[:end].count(")") for end in range(1, len(text) + 1)]
    return min(open_after) >= 0 and len(text) + open_after[-1] <= CONTEXT


starts = [
    text
    for length in range(1, CONTEXT)
    for text in map("".join, product("()", repeat=length))
    if can_end_balanced(text)
]
"""Every beginning of a balanced text that fits into the context."""


def meaning(prompt: str) -> str:
    """One bracket after the other, until the context is full."""
    text = prompt
    while len(text) < CONTEXT:
        if text.count("(") == CONTEXT // 2:
            text += ")"
        elif text.count("(") == text.count(")"):
            text += "("
        else:
            text += ")" if text.endswith("((") else "("
    return text[len(prompt) :]
