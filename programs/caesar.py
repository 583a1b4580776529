"""Caesar: after `=`, write the text with each letter as many places up the alphabet as the key says.

The key is the first token, a digit, which one head moves to every position. Two heads copy the text:
one finds the separator, and the other attends as many positions back as the text has letters. Neurons
turn the sum of key and letter into a letter again, where a follows h, and write a full stop at the
end.
"""

from handcraft import Program, Prompts, predict, select

ALPHABET = "abcdefgh"
LETTERS = 5

prompts = Prompts(
    ALPHABET + "01234567=.",
    context=2 * LETTERS + 2,
    inputs=f"[0-7][a-h]{{1,{LETTERS}}}=[a-h]{{0,{LETTERS}}}",
)
token, position = prompts.token, prompts.position

key = token.at_position(0).assume("01234567").map(int)
length = select(token, "=").latest(position - 1, default=0)
due = select(position, position - length).latest(token, default="a")
moved = due.map({letter: number for number, letter in enumerate(ALPHABET)}, default=0) + key

program = Program(
    prompts=prompts,
    rules=[
        predict(".").when(due == "="),
        predict(moved.map(lambda number: ALPHABET[number % 8])).otherwise(),
    ],
)

starts = f"[0-7][a-h]{{1,{LETTERS}}}="
"""A key, one to five letters, and the sign after them."""


def meaning(prompt: str) -> str:
    """Each letter moved by the key, and a full stop."""
    shift = int(prompt[0])
    table = str.maketrans("abcdefgh", "abcdefgh"[shift:] + "abcdefgh"[:shift])
    return prompt[1:-1].translate(table) + "."
