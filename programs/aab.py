"""Predict b after aa, otherwise a."""

from handcraft import Program, predict

program = Program(
    vocabulary="ab",
    context=5,
    rules=[
        predict("b").after("aa"),
        predict("a").otherwise(),
    ],
)
