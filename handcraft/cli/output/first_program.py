"""The first program that `handcraft new` writes: rules, an expression, and what to do with them."""

from __future__ import annotations

TEMPLATE = '''\
"""{name}: a first program. It continues a text of the letters a, b and c.

Change something, and try it:

{commands}
"""

from handcraft import Program, Prompts, predict, select

# The tokens, and how many of them the model sees.
prompts = Prompts("abc", context=8)
token, position = prompts.token, prompts.position

# An expression has a value at every position of a text. This is the token one position back; position 0
# has none before it, and there the value is a. Pictures and explanations call it `before`, as here.
before = token.at(-1, default="a")

# A selection is what a head attends to: here the positions that follow an earlier token like this one.
followed = select(before, token) & select(position, 0, ">")

# The token that followed the last time, or a where the token here is new.
again = followed.latest(token, default="a")

program = Program(
    prompts=prompts,
    # The first rule that matches decides.
    rules=[
        predict("c").after("bb"),  # a pattern: the text ends in bb
        predict("b").when((position == 0) & (token == "a")),  # a condition: the text is a alone
        predict(again).otherwise(),  # always matches: what followed last time
    ],
)


def meaning(prompt: str) -> str:
    """The same in plain Python. It is not needed; change a rule, and say here what you expect."""
    if prompt.endswith("bb"):
        return "c"
    if prompt == "a":
        return "b"
    earlier = [there for there in range(1, len(prompt)) if prompt[there - 1] == prompt[-1]]
    return prompt[earlier[-1]] if earlier else "a"
'''
"""The text of the file; `{name}` and `{commands}` are filled in."""

COMMANDS = {
    "run {file} abca -n 4": "what does it write?",
    "verify {file}": "is the model right after every text?",
    "explain {file} --prompt abca": "why does it answer what it answers?",
    "draw {file} -o {name}.svg": "how does the model compute it?",
    "watch {file}": "verify and draw on every save",
    "compile {file} -o {name}/": "a GPT-2 that other tools load",
}
"""What to do with the file, and what for."""


def first_program(name: str, file: str) -> str:
    """The text of a first program.

    Args:
        name: of the program.
        file: as a command line names it.
    """
    commands = {
        f"handcraft {command.format(file=file, name=name)}": said for command, said in COMMANDS.items()
    }
    width = max(map(len, commands))
    listed = "\n".join(f"    {command:<{width}}  {said}" for command, said in commands.items())
    return TEMPLATE.replace("{name}", name).replace("{commands}", listed)
