"""Indirect object: `when mary and john went to the store john gave a drink to` -> mary.

The name that occurs twice is the giver; the answer is the latest other name. The first head finds words
that occurred before, the next one the latest name among them, and the last one a name that differs from
it. The circuit that GPT-2 small has learned for such sentences does the same with more heads (Wang et
al. 2022, Interpretability in the Wild).
"""

from handcraft import Program, Prompts, predict, select

NAMES = ("mary", "john", "anna", "paul", "lucy", "mark")
PLACES = ("store", "park", "school")
THINGS = ("drink", "book", "ring")
WORDS = (*NAMES, *PLACES, *THINGS, *["when", "and", "went", "to", "the", "gave", "a"])

one_of = {"N": "|".join(NAMES), "P": "|".join(PLACES), "T": "|".join(THINGS)}
prompts = Prompts(
    WORDS,
    context=14,
    inputs="when ({N}) and ({N}) went to the ({P}) ({N}) gave a ({T}) to".format(**one_of),
)
token, position = prompts.token, prompts.position

name = token.map(lambda word: word if word in NAMES else "the")
is_name = name != "the"
before = select(token, token) & select(position, position, "<")
giver = select(before.exists() & is_name, True).latest(name, default="the")
others = select(name, giver, "!=") & select(is_name, True)

program = Program(
    prompts=prompts,
    rules=[
        predict(others.latest(token, default="the")).otherwise(),
    ],
)

starts = prompts.inputs


def meaning(prompt: str) -> str:
    """The latest name other than the last repeated one."""
    names = [word for word in prompt.split() if word in NAMES]
    twice = [word for i, word in enumerate(names) if word in names[:i]]
    left = [word for word in names if word not in twice[-1:]]
    return left[-1] if left else "the"
