"""Recall: after pairs of a key and a value, and a key, write its value: 2 after `a1b2c3b`.

One head moves the key before each value to that value. A head of the next block attends to the values
whose key is the key here, and reads the latest of them, so a later pair of the same key counts. For
a key that is new the answer is `?`.
"""

from handcraft import Program, Prompts, predict, select

prompts = Prompts("abc123?", context=12, inputs="([abc][123])*[abc]")
token = prompts.token

key = token.at(-1, default="?")
value = select(key, token).latest(token, default="?")

program = Program(
    prompts=prompts,
    rules=[
        predict(value).otherwise(),
    ],
)

starts = "([abc][123])*[abc]"
"""Up to five pairs, and the key to look up."""


def meaning(prompt: str) -> str:
    """Look it up in a dictionary of the pairs."""
    values = dict(zip(prompt[0:-1:2], prompt[1::2], strict=True))
    return values.get(prompt[-1], "?")
