"""Tic-tac-toe: make the next move: win, else block, else take the centre, a corner, a side.

Squares are numbered 1 to 9, and a game is the list of its moves. Heads search for each square among the
player's own moves, which are every second one, and among the opponent's, so a square counts as 1, -1
or 0. A line that sums to 2 is won on its free square, a line that sums to -2 must be blocked there, and
the first rule that applies decides.
"""

from handcraft import Program, Prompts, predict, select

LINES = ["123", "456", "789", "147", "258", "369", "159", "357"]
BEST = "519732846"

prompts = Prompts("123456789", context=9, inputs=r"(([1-9])(?!.*\2)){1,8}")
token, position = prompts.token, prompts.position

own = select(position % 2, position % 2, "!=")
other = select(position % 2, position % 2)
balance = {s: (own & select(token, s)).exists() - (other & select(token, s)).exists() for s in BEST}
lines = {line: sum(balance[square] for square in line) for line in LINES}

free = {s: balance[s] == 0 for s in BEST}
wins = {s: sum(lines[line] == 2 for line in LINES if s in line) > 0 for s in BEST}
blocks = {s: sum(lines[line] == -2 for line in LINES if s in line) > 0 for s in BEST}

program = Program(
    prompts=prompts,
    rules=[
        *(predict(square).when(free[square] & wins[square]) for square in BEST),
        *(predict(square).when(free[square] & blocks[square]) for square in BEST),
        *(predict(square).when(free[square]) for square in BEST[:-1]),
        predict(BEST[-1]).otherwise(),
    ],
)


def has_line(squares: str) -> bool:
    """Whether these squares fill a line."""
    return any(set(line) <= set(squares) for line in LINES)


def games(moves: str, most: int) -> list[str]:
    """All unfinished games that continue these moves, of up to `most` moves."""
    if has_line(moves[-1::-2]) or len(moves) > most:
        return []
    return [moves, *(game for s in BEST if s not in moves for game in games(moves + s, most))]


starts = games("", most=5)[1:]
"""All games of up to five moves that are not over."""


def meaning(prompt: str) -> str:
    """The best free square: one that completes a line, or blocks the opponent's, or any other."""
    own, other = prompt[-2::-2], prompt[-1::-2]
    free = [square for square in BEST if square not in prompt]
    wins = [square for square in free if has_line(own + square)]
    blocks = [square for square in free if has_line(other + square)]
    return [*wins, *blocks, *free][0]
