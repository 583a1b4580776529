"""A table of what people get wrong in RASP programs, with the message that each must give.

A case is its name, the lines of a program, a line of dashes, and the message.
"""

from __future__ import annotations

import re

import pytest

from handcraft import rasp
from handcraft.errors import HandcraftError

TABLE = r"""
== a sequence in an if
if tokens == "a":
    pass
--
DomainError: `tokens == 'a'` has no value before there is a text, so it is neither true nor false
  where: program.py:1:4
  fix:   use & | ~ for and, or, not; Map and SequenceMap for a choice

== a chain of comparisons
between = 0 < indices < 3
--
DomainError: `indices > 0` has no value before there is a text, so it is neither true nor false
  where: program.py:1:11
  fix:   use & | ~ for and, or, not; Map and SequenceMap for a choice

== a loop over a sequence
list(tokens)
--
DomainError: `tokens` has no elements before there is a text
  where: program.py:1:1
  fix:   use rasp.evaluate for its values

== a name of the published library that is not here
rasp.ConstantSOp
--
ProgramError: handcraft.rasp has no ConstantSOp
  fix:   give one value with Full(value), or make values from tokens and indices

== the import of such a name
from handcraft.rasp import SelectorNot
--
ProgramError: handcraft.rasp has no SelectorNot
  fix:   write ~selector

== an order of labels and numbers, evaluated
rasp.evaluate(tokens < 3, "ab")
--
DomainError: `tokens < 3` compares 'a' with 3, which have no order
  where: program.py:1:15, tokens < 3
  fix:   compare values of one kind; Map turns one into the other

== an order of labels and numbers, built
rasp.build(
    tokens < indices, "ab", 5)
--
DomainError: `tokens < indices` compares 'a' with 0, which have no order
  where: program.py:2:5, tokens < indices
  fix:   compare values of one kind; Map turns one into the other

== a selector that compares labels with numbers
rasp.build(SelectorWidth(Select(tokens, indices, Comparison.LEQ)), "ab", 5)
--
DomainError: `Select(tokens, indices, LEQ)` compares 'a' with 0, which have no order
  where: program.py:1:26, Select(tokens, indices, LEQ)
  fix:   compare values of one kind; Map turns one into the other

== a sum of labels and numbers
rasp.evaluate(tokens + 1, "ab")
--
DomainError: `tokens + 1` fails for 'a' and 1: TypeError: can only concatenate str (not "int") to str
  where: program.py:1:15, tokens + 1
  fix:   make the function answer for every value

== a function that fails
rasp.build(Map(lambda x: {"a": 1}[x], tokens), "ab", 5)
--
DomainError: `Map(lambda, tokens)` fails for 'b': KeyError: 'b'
  where: program.py:1:12, Map(lambda, tokens)
  fix:   make the function answer for every value

== division by 0
rasp.evaluate(1 / indices, "ab")
--
DomainError: `1 / indices` fails for 1 and 0: ZeroDivisionError: Fraction(1, 0)
  where: program.py:1:15, 1 / indices
  fix:   make the function answer for every value

== a function that answers with what is no value
rasp.evaluate(Map(lambda x: [x], tokens), "ab")
--
DomainError: `Map(lambda, tokens)` fails for 'a': ['a'] is not a value of a sequence
  where: program.py:1:15, Map(lambda, tokens)
  fix:   make the function answer for every value

== a function that answers with several kinds
rasp.build(Map(lambda x: x if x == "a" else 0, tokens), "ab", 5)
--
DomainError: the results are of 2 kinds: 'a' for 'a' and 0 for 'b'
  where: program.py:1:12, Map(lambda, tokens)
  fix:   answer with only labels, only flags or only numbers

== a mean of different labels
rasp.evaluate(Aggregate(Select(tokens, tokens, Comparison.TRUE), tokens), "ab")
--
DomainError: `Aggregate(Select(tokens, tokens, TRUE), tokens)` selects 'a' and 'b': labels have no mean
  where: program.py:1:15, Aggregate(Select(tokens, tokens, TRUE), tokens)
  fix:   select positions that have the same value, or turn labels into numbers with Map

== a sum of labels, evaluated
rasp.evaluate(Aggregate(Select(tokens, tokens, Comparison.EQ), tokens, how="sum"), "ab")
--
DomainError: `Aggregate(Select(tokens, tokens, EQ), tokens, how='sum')` sums 'a', which are not numbers
  where: program.py:1:15, Aggregate(Select(tokens, tokens, EQ), tokens, how='sum')
  fix:   turn them into numbers with Map

== a sum of labels, built
rasp.build(Aggregate(Select(tokens, tokens, Comparison.EQ), tokens, how="sum"), "ab", 5)
--
DomainError: `tokens` has labels ('a' 'b'), which have no sum
  where: program.py:1:12, Aggregate(Select(tokens, tokens, EQ), tokens, how='sum')
  fix:   turn them into numbers with Map

== a sum over too many numbers
rasp.build(Aggregate(Select(tokens, tokens, Comparison.EQ), indices, how="sum"), "ab", 70)
--
DomainError: a sum over 70 values of `indices`, more than 64: 0 to 69
  where: program.py:1:12, Aggregate(Select(tokens, tokens, EQ), indices, how='sum')
  fix:   sum fewer different numbers, or multiply a mean by SelectorWidth

== a table of too many numbers
until_here = Select(indices, indices, Comparison.LEQ)
means = Aggregate(until_here, Aggregate(until_here, indices)).named("means")
rasp.build(Map(lambda x: x * x, means), "ab", 40)
--
DomainError: `Map(lambda, means)` takes a table, and `means` has too many values: from 0 to 39
  where: program.py:3:12, Map(lambda, means)
  fix:   compare it with a number first, or build with a smaller max_length

== a selector of too many numbers
until_here = Select(indices, indices, Comparison.LEQ)
means = Aggregate(until_here, Aggregate(until_here, indices)).named("means")
rasp.build(SelectorWidth(Select(means, means, Comparison.EQ)), "ab", 40)
--
DomainError: `Select(means, means, EQ)` takes a table, and `means` has too many values: from 0 to 39
  where: program.py:3:26, Select(means, means, EQ)
  fix:   compare it with a number first, or build with a smaller max_length

== a table of too many rows
large = SequenceMap(max, tokens * indices, length * indices % 997).named("large")
rasp.build(large, range(100), 100)
--
DomainError: `large` takes a table of 2,849,910 rows, more than 200,000: 2,870 by 993
  where: program.py:1:9, large
  fix:   compare with numbers first, or build with a smaller max_length

== a default of another kind
rasp.build(Aggregate(Select(indices, indices - 1, Comparison.EQ), tokens, default=0), "ab", 5)
--
DomainError: the default 0 is a number, and `tokens` is a category: 'a' 'b'
  where: program.py:1:12, Aggregate(Select(indices, indices - 1, EQ), tokens, default=0)
  fix:   give a default of the same kind, or none

== an unknown way to aggregate
Aggregate(Select(tokens, tokens, Comparison.EQ), indices, how="max")
--
DomainError: how='max' is not a way to aggregate
  where: program.py:1:1
  fix:   use "mean" or "sum"

== numerical labels
rasp.build(rasp.numerical(tokens), "ab", 5)
--
DomainError: `tokens` is declared numerical, but its values are 'a' 'b'
  where: program.py:1:12, tokens
  fix:   leave numerical() out, or turn them into numbers with Map

== the arguments of Map in the wrong order
Map(tokens, str)
--
DomainError: Map takes a function here, not `tokens`
  where: program.py:1:1
  fix:   the function comes first, as in Map(function, sequence, ...)

== a name instead of a function
Map("lower", tokens)
--
DomainError: Map takes a function here, not 'lower'
  where: program.py:1:1
  fix:   the function comes first, as in Map(function, sequence, ...)

== a comparison instead of a selector
Aggregate(tokens == "a", tokens)
--
DomainError: Aggregate takes a selector here, not `tokens == 'a'`
  where: program.py:1:1
  fix:   make one with Select(keys, queries, relation)

== a selector instead of a sequence
Map(str, Select(tokens, tokens, Comparison.EQ))
--
DomainError: `Select(tokens, tokens, EQ)` is a selector, not a sequence
  where: program.py:1:1
  fix:   use SelectorWidth(...) or Aggregate(..., sequence) for what it selects

== a relation that is no function
Select(tokens, tokens, "==")
--
DomainError: Select takes a function here, not '=='
  where: program.py:1:1
  fix:   use a Comparison, such as Comparison.EQ, or a function of a key and a query

== a weight that is not a number
LinearSequenceMap(indices, indices, "2", 1)
--
DomainError: the weight fst_fac='2' is not a number
  where: program.py:1:1
  fix:   use a number

== a plain value that cannot be one
tokens == ["a"]
--
DomainError: ['a'] is not a value of a sequence
  where: program.py:1:1
  fix:   use a label, a flag or a finite number

== a selector that is built
rasp.build(Select(tokens, tokens, Comparison.EQ), "ab", 5)
--
ProgramError: `Select(tokens, tokens, EQ)` is not a sequence
  where: program.py:1:1
  fix:   give a sequence; of a selector, SelectorWidth(...) or Aggregate(..., sequence)

== the arguments of evaluate in the wrong order
rasp.evaluate("ab", tokens)
--
ProgramError: 'ab', of type str, is not a RASP expression
  where: program.py:1:1
  fix:   give a sequence or a selector, and after it the values of the text

== a vocabulary of several kinds
rasp.build(tokens, ["a", 1], 5)
--
VocabularyError: the vocabulary contains the string 'a' and the number 1
  where: program.py:1:1
  fix:   use only strings or only numbers

== a vocabulary of what is no token, and no length
rasp.compile(tokens, [True, None], max_length=0)
--
ProgramError: max_length is 0
  where: program.py:1:1
  fix:   use a whole number of tokens, 1 or more
VocabularyError: the vocabulary contains True, of type bool
  where: program.py:1:1
  fix:   use only strings or only numbers

== a number twice
rasp.build(tokens, [1, 1.0], 5)
--
VocabularyError: the token '1' is in the vocabulary twice
  fix:   name it once

== an input that is too long
rasp.build(tokens, "ab", 3).trace("abab")
--
ProgramError: 4 tokens for max_length=3
  fix:   give 1 to 3 tokens, or build with max_length=4

== an input without tokens
rasp.build(tokens, "ab", 3).trace([])
--
ProgramError: 0 tokens for max_length=3
  fix:   give 1 to 3 tokens

== a token that is not in the vocabulary
rasp.build(tokens, "ab", 3).trace("abc")
--
VocabularyError: 'c' is not in the vocabulary
  where: position 2
  fix:   use one of its 2 tokens: 'a' 'b'

== a string where tokens are numbers
rasp.build(tokens, [1, 2], 3).trace(["1"])
--
VocabularyError: '1' is not in the vocabulary
  where: position 0
  fix:   use one of its 2 tokens: 1 2

== one input of a batch that is too long
rasp.compile(tokens == "a", "ab", 3).apply([["a"], ["a", "b", "a", "b"]])
--
ProgramError: 4 tokens for max_length=3
  where: input 1
  fix:   give 1 to 3 tokens, or build with max_length=4

== a token of one input of a batch
rasp.compile(tokens == "a", "ab", 3).apply([["a"], ["b", None, "a"]])
--
VocabularyError: None is not in the vocabulary
  where: position 1 of input 1
  fix:   use one of its 2 tokens: 'a' 'b'
"""


def rows() -> list[tuple[str, str, str]]:
    """Name, program and message of every case."""
    found = []
    for block in re.split(r"^== ", TABLE, flags=re.MULTILINE)[1:]:
        name, _, rest = block.partition("\n")
        program, _, message = rest.partition("\n--\n")
        found.append((name, program, message.strip()))
    return found


@pytest.mark.parametrize(("name", "program", "message"), rows(), ids=[name for name, *_ in rows()])
def test_what_is_wrong_is_said_in_three_parts(name, program, message):
    names = {shown: getattr(rasp, shown) for shown in rasp.__all__}
    with pytest.raises(HandcraftError) as caught:
        exec(compile(program, "program.py", "exec"), names | {"rasp": rasp, "__name__": "program"})
    assert str(caught.value) == message, name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError):
        rasp.nothing  # noqa: B018
    assert not hasattr(rasp, "nothing")
