"""Programs so small that every intervention on every text can be tried."""

from __future__ import annotations

from handcraft import Program, Prompts, predict, select, where


def adder(digits: int) -> Program:
    """`=` a `+` b `=`, so many digits each, the least significant first; then the sum, digit by digit.

    As programs/add.py, which has eleven: the last digit of each number is 0, for the last carry.
    """
    number = rf"[0-9]{{{digits - 1}}}0"
    first = 2 * digits + 2
    prompts = Prompts(
        "0123456789+=",
        context=first + digits,
        inputs=rf"={number}\+{number}=",
        writes=digits,
    )
    token, position = prompts.token, prompts.position
    digit = token.map({str(n): n for n in range(10)}, default=0)

    def back(places):
        there = position.map(lambda here: here - places if here >= first else 0)
        return select(position, there).latest(digit, default=0)

    a, b = back(2 * digits + 1), back(digits)
    a_before, b_before, sum_before = back(2 * digits + 2), back(digits + 1), back(0)
    carry = (a_before + b_before - sum_before).assume([-1, 0, 9, 10]) >= 9
    total = (a + b + carry) % 10
    return Program(prompts=prompts, rules=[predict(total.map(str)).otherwise()])


def echo() -> Program:
    """Two tokens compared: their equality is read by two rules, and the first token by one."""
    prompts = Prompts("ab", 4)
    before = prompts.token.at(-1, default="b")
    same = before == prompts.token
    flipped = before.map({"a": "b", "b": "a"})
    return Program(
        prompts=prompts,
        rules=[
            predict("a").when(same & (prompts.position >= 2)),
            predict(where(same, before, flipped)).otherwise(),
        ],
    )


def twice() -> Program:
    """A count that two tables read, one of which is computed at once with it."""
    prompts = Prompts("ab", 5)
    count = select(prompts.token == "a", True).count()
    return Program(
        prompts=prompts,
        rules=[predict("a").when(count >= 3), predict("b").when(count == 1), predict("a").otherwise()],
    )
