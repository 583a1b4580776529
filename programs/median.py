"""Median: after `>`, write the digit in the middle of an odd number of digits, put in order.

The median is the smallest digit such that more than half of all digits are no larger. One head
attends to all tokens equally and computes the fraction of tokens up to 0, up to 1, and so on; the
first fraction that reaches a half writes its digit. The `>` is included and counts as large, so the
number of tokens is even, and half of the tokens are more than half of the digits.
"""

from handcraft import Program, Prompts, predict

DIGITS = "0123456789"

prompts = Prompts(DIGITS + ">", context=6, inputs="[0-9]([0-9][0-9]){0,2}>")
token, everything = prompts.token, prompts.everything

number = token.map({digit: int(digit) for digit in DIGITS}, default=10)
fraction_up_to = {digit: everything.mean(number <= int(digit)) for digit in DIGITS}

program = Program(
    prompts=prompts,
    rules=[
        *(predict(digit).when(fraction_up_to[digit] >= 0.5) for digit in DIGITS),
        predict("9").otherwise(),
    ],
)

starts = "[0-9]([0-9][0-9]){0,2}>"
"""One, three or five digits and the sign after them."""


def meaning(prompt: str) -> str:
    """The digit in the middle, once they are sorted."""
    digits = sorted(prompt.rstrip(">"))
    return digits[len(digits) // 2]
