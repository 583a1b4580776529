"""A table of what people get wrong, with the message that each must give.

A case is a block of TABLE:

    == its name
    --- a file that it needs, then the lines of the file
    $ the command line, without `handcraft`
    what is printed to stderr, to the last line

A file that begins with the line RULES or PROMPTS begins with the lines of Python below instead. In what
is printed, … stands for anything, SHIPPED for the names of the shipped programs, and ARCHITECTURES for
those of the architectures. Every case exits with 2, prints nothing to stdout and writes nothing.
Files that such text cannot hold are in ODD_FILES, and folders that must be broken first in DAMAGED.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from handcraft.architecture import ARCHITECTURES
from handcraft.cli.input.shipped import shipped_programs
from handcraft.cli.main import main

RULES = """\
from handcraft import Program, predict
rules = [predict("b").after("aa"), predict("a").otherwise()]
"""

PROMPTS = """\
from handcraft import Program, Prompts, lookup, predict, select, weighted, where, window
prompts = Prompts("ab", context=5)
token, position = prompts.token, prompts.position
otherwise = predict("a").otherwise()
"""

TABLE = r"""
======== prompts

== an unknown token in a prompt
$ run aab abx
VocabularyError: 'x' is not in the vocabulary
  where: token 3 of 'abx'
  fix:   use one of its 2 tokens: a b

== an unknown word in a prompt
--- p.rules
vocabulary the cat sat
predict the otherwise
$ run p.rules 'the dog sat'
VocabularyError: 'dog' is not in the vocabulary
  where: token 2 of 'the dog sat'
  fix:   use one of its 3 tokens: the cat sat

== an unknown token in a long vocabulary
--- p.rules
vocabulary a b c d e f g h i j k l m n
predict a otherwise
$ run p.rules A
VocabularyError: 'A' is not in the vocabulary
  where: token 1 of 'A'
  fix:   use one of its 14 tokens: a b c d e f g h i j k l and 2 more ('a' differs in capitals, …)

== tokens with quotes around them
--- p.rules
predict 'b' after 'aa'
predict 'a' otherwise
$ run p.rules aa
VocabularyError: 'aa' is not in the vocabulary
  where: token 1 of 'aa'
  fix:   use one of its 3 tokens: 'a' 'aa' 'b' ("'aa'" differs in capitals, quotes or commas)

== another word where all tokens have quotes around them
--- p.rules
predict 'b' after 'aa'
predict 'a' otherwise
$ run p.rules c
VocabularyError: 'c' is not in the vocabulary
  where: token 1 of 'c'
  fix:   use one of its 3 tokens: 'a' 'aa' 'b' (the quotes are part of them)

== a vocabulary with commas
--- p.rules
vocabulary a, b
predict a otherwise
$ run p.rules b
VocabularyError: the rule predicts 'a', which is not in the vocabulary
  where: p.rules:2:1, predict a otherwise
  fix:   use one of its 2 tokens: a, b ('a,' differs in capitals, quotes or commas)

== an empty prompt
$ run aab ''
ModelError: the prompt is empty
  fix:   give at least one token to predict from

== a prompt of blanks
--- p.rules
vocabulary the cat
predict the otherwise
$ run p.rules '   '
ModelError: the prompt is empty
  fix:   give at least one token to predict from

== an unknown token in a prompt for a rule
$ run -e 'predict b after aa' aax
note: no rule covers the other contexts: added `predict a otherwise`
VocabularyError: 'x' is not in the vocabulary
  where: token 3 of 'aax'
  fix:   use one of its 2 tokens: a b

== no prompt
$ run aab
CommandError: 1 argument: aab
  fix:   give PROGRAM TEXT; quote a text that contains spaces

== a prompt that is not quoted
$ run aab a a b
CommandError: 4 arguments: aab a a b
  fix:   give PROGRAM TEXT; quote a text that contains spaces

== no prompt for a program that says what it writes after
$ run modular
CommandError: 1 argument: modular
  fix:   give PROGRAM TEXT, as in handcraft run modular '48 + 48 ='

== no prompt for a program with allowed prompts
--- p.py
PROMPTS
from handcraft import *
allowed = Prompts("ab=", context=5, inputs="[ab]{2}=")
program = Program(prompts=allowed, rules=[predict("a").otherwise()])
$ run p.py
CommandError: 1 argument: p.py
  fix:   give PROGRAM TEXT, as in handcraft run p.py aa=

== an operand that is too long
$ run add =123456789010+10000000000=
PromptError: '1' is not allowed here; expected '0'
  where: token 12 of '=123456789010+10000000000='
  fix:   allowed prompts match =[0-9]{10}0\+[0-9]{10}0= and go on …

== an operand that is longer than all of them may be
$ run add_ahead 012345678901+00000000001=
PromptError: '1' is not allowed here; expected '+'
  where: token 12 of '012345678901+00000000001='
  fix:   allowed prompts match …, for example '01234567890+00000000000='; --regardless …

== an operand that is too short
$ run add =123+456=
PromptError: '+' is not allowed here; expected one of 0 1 2 3 4 5 6 7 8 9
  where: token 5 of '=123+456='
  fix:   allowed prompts match …, for example '=12300000000+00000000000='; --regardless …

== a negative operand
$ run add =-1000000000+10000000000=
VocabularyError: '-' is not in the vocabulary
  where: token 2 of '=-1000000000+10000000000='
  fix:   use one of its 12 tokens: 0 1 2 3 4 5 6 7 8 9 + =

== an operand that is not a whole number
$ run add_ahead 0000000001.5+00000000001=
VocabularyError: '.' is not in the vocabulary
  where: token 11 of '0000000001.5+00000000001='
  fix:   use one of its 12 tokens: 0 1 2 3 4 5 6 7 8 9 + =

== a sum that is written already
$ run add =10000000000+10000000000=20000000000
PromptError: allowed prompts have at most 35 tokens, and this one has 36
  where: token 36 of '=10000000000+10000000000=20000000000'
  fix:   allowed prompts match …, for example '=10000000000+10000000000='; --regardless …

== a prompt that is only begun
$ run modular '48 + 48'
PromptError: '48 + 48' is only the beginning of an allowed prompt
  fix:   allowed prompts match \d\d? [+] \d\d? =, for example '48 + 48 ='; --regardless …

== a prompt that an expression with a lookahead refuses
$ run tictactoe 15395
PromptError: '5' is not allowed here; expected one of 2 4 6 7 8
  where: token 5 of '15395'
  fix:   allowed prompts match (([1-9])(?!.*\2)){1,8}, for example '1539'; --regardless …

== a program besides a rule
$ run -e 'predict b after aa' aab aab
CommandError: 2 arguments: aab aab
  fix:   give TEXT; quote a text that contains spaces

======== tokens and vocabularies

== a rule that predicts an unknown token
--- p.rules
vocabulary a b
predict c after a
predict a otherwise
$ run p.rules a
VocabularyError: the rule predicts 'c', which is not in the vocabulary
  where: p.rules:2:1, predict c after a
  fix:   use one of its 2 tokens: a b

== a pattern that names an unknown token
--- p.rules
vocabulary a b
predict b after ax
predict a otherwise
$ run p.rules a
VocabularyError: the pattern 'ax' names 'x', which is not in the vocabulary
  where: p.rules:2:1, predict b after ax
  fix:   use one of its 2 tokens: a b

== a class that names an unknown token
--- p.rules
vocabulary a b
predict b after a[ax]
predict a otherwise
$ run p.rules a
VocabularyError: the pattern 'a[ax]' names 'x', which is not in the vocabulary
  where: p.rules:2:1, predict b after a[ax]
  fix:   use one of its 2 tokens: a b

== an unknown token in Python
--- p.py
RULES
program = Program("ab", 3, [predict("c").after("a"), *rules])
$ run p.py a
VocabularyError: the rule predicts 'c', which is not in the vocabulary
  where: p.py:3:29, predict c after a
  fix:   use one of its 2 tokens: a b

== an unknown token in a pattern in Python
--- p.py
RULES
program = Program("ab", 3, [predict("a").after("ac"), *rules])
$ run p.py a
VocabularyError: the pattern 'ac' names 'c', which is not in the vocabulary
  where: p.py:3:29, predict a after ac
  fix:   use one of its 2 tokens: a b

== several wrong rules, all told
--- p.rules
vocabulary a b
predict c after a
predict a after d
predict a otherwise
$ run p.rules a
VocabularyError: the rule predicts 'c', which is not in the vocabulary
  where: p.rules:2:1, predict c after a
  fix:   use one of its 2 tokens: a b
VocabularyError: the pattern 'd' names 'd', which is not in the vocabulary
  where: p.rules:3:1, predict a after d
  fix:   use one of its 2 tokens: a b

== an empty vocabulary
--- p.py
RULES
program = Program("", 3, rules)
$ run p.py a
VocabularyError: the vocabulary is empty
  where: p.py:3:11
  fix:   name at least one token, as in vocabulary="ab"

== an empty list of tokens
--- p.py
RULES
program = Program([], 3, rules)
$ run p.py a
VocabularyError: the vocabulary is empty
  where: p.py:3:11
  fix:   name at least one token, as in vocabulary="ab"

== a vocabulary line without tokens
--- p.rules
vocabulary
predict a otherwise
$ run p.rules a
RuleSyntaxError: the line's end is not allowed here
  where: p.rules:1:11, vocabulary
  fix:   expected a word

== a token twice
--- p.py
RULES
program = Program("aba", 3, rules)
$ run p.py a
VocabularyError: the token 'a' is in the vocabulary twice
  where: p.py:3:11
  fix:   name it once

== a token twice in a rules file
--- p.rules
context 3
vocabulary a b a
predict a otherwise
$ run p.rules a
VocabularyError: the token 'a' is in the vocabulary twice
  where: p.rules:2:1
  fix:   name it once

== a token that is no string
--- p.py
RULES
program = Program(["a", 3], 3, rules)
$ run p.py a
VocabularyError: token 2 of the vocabulary is 3, of type int
  where: p.py:3:11
  fix:   tokens are strings

== a token that is empty
--- p.py
RULES
program = Program(["a", ""], 3, rules)
$ run p.py a
VocabularyError: token 2 of the vocabulary is empty
  where: p.py:3:11
  fix:   leave it out

== a word with a blank in it
--- p.py
RULES
program = Program(["the cat", "a"], 3, rules)
$ run p.py a
VocabularyError: the word 'the cat' of the vocabulary contains a space
  where: p.py:3:11
  fix:   spaces separate words: make it two tokens

== a blank among words
--- p.py
RULES
program = Program(["the", " "], 3, rules)
$ run p.py a
VocabularyError: the vocabulary has words and also the token ' ', which separates them
  where: p.py:3:11
  fix:   leave it out, or use single characters only

== a vocabulary that is a number
--- p.py
RULES
program = Program(7, 3, rules)
$ run p.py a
VocabularyError: the vocabulary is 7, of type int
  where: p.py:3:11
  fix:   name the tokens, as in "ab" or "the cat sat" or ["the", "cat", "sat"]

======== patterns

== an empty pattern
--- p.py
RULES
program = Program("ab", 3, [predict("b").after(""), *rules])
$ run p.py a
RuleSyntaxError: the pattern '' has no tokens
  where: p.py:3:29, predict b after
  fix:   use otherwise() to match always

== a pattern of blanks
--- p.py
RULES
program = Program("ab", 3, [predict("b").after("  "), *rules])
$ run p.py a
RuleSyntaxError: the pattern '  ' has no tokens
  where: p.py:3:29, predict b after
  fix:   use otherwise() to match always

== an anchor without tokens
--- p.py
RULES
program = Program("ab", 3, [predict("b").after("start"), *rules])
$ run p.py a
RuleSyntaxError: the pattern 'start' has no tokens
  where: p.py:3:29, predict b after start
  fix:   use otherwise() to match always

== a rule without its pattern
--- p.rules
vocabulary a b
predict b after
predict a otherwise
$ run p.rules a
RuleSyntaxError: the line's end is not allowed here
  where: p.rules:2:16, predict b after
  fix:   expected a pattern

== a class that is not closed
--- p.rules
vocabulary a b
predict b after a[b
predict a otherwise
$ run p.rules a
RuleSyntaxError: the class `[b` is not closed
  where: p.rules:2:18, predict b after a[b
  fix:   write `]` after its last token, or \[ for a literal bracket

== a class of words that is not closed
--- p.rules
vocabulary the cat
predict cat after start [the cat
predict the otherwise
$ run p.rules the
RuleSyntaxError: the class `[the cat` is not closed
  where: p.rules:2:25, predict cat after start [the cat
  fix:   write `]` after its last token, or \[ for a literal bracket

== a class that is not closed in Python
--- p.py
RULES
program = Program("ab", 3, [predict("b").after("a[b"), *rules])
$ run p.py a
RuleSyntaxError: the class `[b` is not closed
  where: p.py:3:29, predict b after a[b
  fix:   write `]` after its last token, or \[ for a literal bracket

== a class that is not opened
--- p.rules
vocabulary a b
predict b after ab]
predict a otherwise
$ run p.rules a
RuleSyntaxError: the pattern cannot continue with ']' at its character 3
  where: p.rules:2:19, predict b after ab]
  fix:   a pattern consists of tokens, `.`, `[ab]` and `[^a]`; write \ …

== a class in a class
--- p.rules
vocabulary a b
predict b after [a[b]]
predict a otherwise
$ run p.rules a
RuleSyntaxError: the pattern cannot continue with '[' at its character 3
  where: p.rules:2:19, predict b after [a[b]]
  fix:   a pattern consists of tokens, `.`, `[ab]` and `[^a]`; write \ …

== an empty class
--- p.rules
vocabulary a b
predict b after a[]
predict a otherwise
$ run p.rules a
RuleSyntaxError: the pattern cannot continue with ']' at its character 3
  where: p.rules:2:19, predict b after a[]
  fix:   a pattern consists of tokens, `.`, `[ab]` and `[^a]`; write \ …

== a class that leaves no token
--- p.rules
vocabulary a b
predict b after b[^ab]
predict a otherwise
$ run p.rules a
RuleSyntaxError: the class [^ab] in 'b[^ab]' leaves no token
  where: p.rules:2:17, predict b after b[^ab]
  fix:   exclude fewer tokens

== a pattern longer than the context
--- p.rules
vocabulary a b
context 3
predict b after aaaa
predict a otherwise
$ run p.rules a
ProgramError: the pattern 'aaaa' reads 4 tokens, but the context has 3
  where: p.rules:3:1, predict b after aaaa
  fix:   `context 4`, or a shorter pattern

== a pattern longer than the context in Python
--- p.py
RULES
program = Program("ab", 1, rules)
$ run p.py a
ProgramError: the pattern 'aa' reads 2 tokens, but the context has 1
  where: p.py:2:10, predict b after aa
  fix:   context=2, or a shorter pattern

======== contexts and coverage

== a context of 0
--- p.py
RULES
program = Program("ab", 0, rules)
$ run p.py a
ProgramError: the context is 0
  where: p.py:3:11
  fix:   use a whole number of tokens, 1 or more

== a negative context
--- p.py
RULES
program = Program("ab", -3, rules)
$ run p.py a
ProgramError: the context is -3
  where: p.py:3:11
  fix:   use a whole number of tokens, 1 or more

== a context of a half
--- p.py
RULES
program = Program("ab", 2.5, rules)
$ run p.py a
ProgramError: the context is 2.5
  where: p.py:3:11
  fix:   use a whole number of tokens, 1 or more

== a context in words
--- p.py
RULES
program = Program("ab", "5", rules)
$ run p.py a
ProgramError: the context is '5'
  where: p.py:3:11
  fix:   use a whole number of tokens, 1 or more

== a context that is true
--- p.py
RULES
program = Program("ab", True, rules)
$ run p.py a
ProgramError: the context is True
  where: p.py:3:11
  fix:   use a whole number of tokens, 1 or more

== a context of 0 in a rules file
--- p.rules
vocabulary a b
context 0
predict a otherwise
$ run p.rules a
…Error: the context is …
  where: p.rules:2:1
  fix:   use a whole number of tokens, 1 or more

== a negative context in a rules file
--- p.rules
vocabulary a b
context -5
predict a otherwise
$ run p.rules a
…Error: the context is …
  where: p.rules:2:1
  fix:   use a whole number of tokens, 1 or more

== a context in words in a rules file
--- p.rules
vocabulary a b
context five
predict a otherwise
$ run p.rules a
RuleSyntaxError: the context is 'five'
  where: p.rules:2:1
  fix:   use a whole number of tokens, 1 or more

== a context that no rule covers
--- p.rules
vocabulary a b
context 3
predict b after aa
predict a after b
$ run p.rules a
UncoveredError: no rule says what to predict after 'a'
  where: p.rules:4:1, predict a after b
  fix:   end the rules with a line that always fires, as in `predict a otherwise`

== a context that no rule covers in Python
--- p.py
RULES
program = Program("ab", 3, rules[:1])
$ run p.py a
UncoveredError: no rule says what to predict after 'a'
  where: p.py:3:11
  fix:   end the rules with a rule that is always true, as in predict("a").otherwise()

== words that no rule covers
--- p.rules
vocabulary the cat
context 2
predict cat after the
predict the after . cat
$ run p.rules a
UncoveredError: no rule says what to predict after 'cat'
  where: p.rules:4:1, predict the after . cat
  fix:   end the rules with a line that always fires, as in `predict the otherwise`

======== rules that are none

== no rules
--- p.py
RULES
program = Program("ab", 3, [])
$ run p.py a
ProgramError: the program has no rules
  where: p.py:3:11
  fix:   add one: predict("a").otherwise()

== rules that are a string
--- p.py
RULES
program = Program("ab", 3, "predict a otherwise")
$ run p.py a
ProgramError: the rules are 'predict a otherwise'
  where: p.py:3:11
  fix:   give a list such as [predict("b").after("aa"), predict("a").otherwise()]

== rules that are None
--- p.py
RULES
program = Program("ab", 3, None)
$ run p.py a
ProgramError: the rules are None
  where: p.py:3:11
  fix:   give a list such as [predict("b").after("aa"), predict("a").otherwise()]

== one rule in place of a list
--- p.py
RULES
program = Program("ab", 3, predict("a").otherwise())
$ run p.py a
ProgramError: the rules are predict('a').otherwise()
  where: p.py:3:11
  fix:   give a list such as [predict("b").after("aa"), predict("a").otherwise()]

== a rule that is a string
--- p.py
RULES
program = Program("ab", 3, ["predict a otherwise", *rules])
$ run p.py a
ProgramError: rule 1 is 'predict a otherwise', of type str
  where: p.py:3:11
  fix:   write predict("b").after("aa") or predict("a").otherwise()

== a rule that is not finished
--- p.py
RULES
program = Program("ab", 3, [predict("b"), *rules])
$ run p.py a
ProgramError: rule 1 is predict('b'), of type Prediction
  where: p.py:3:11
  fix:   write predict("b").after("aa") or predict("a").otherwise()

== a token to predict that is no string
--- p.py
RULES
program = Program("ab", 3, [predict(7).after("a"), *rules])
$ run p.py a
ProgramError: rule 1 predicts 7, of type int
  where: p.py:3:29
  fix:   tokens are strings; predict a token, a category or a distribution

== a pattern that is no string
--- p.py
RULES
program = Program("ab", 3, [predict("b").after(7), *rules])
$ run p.py a
ProgramError: rule 1 has the pattern 7, of type int
  where: p.py:3:29
  fix:   patterns are strings; an expression goes into .when()

== two rules that are none, both told
--- p.py
RULES
program = Program("ab", 3, [7, None, *rules])
$ run p.py a
ProgramError: rule 1 is 7, of type int
  where: p.py:3:11
  fix:   write predict("b").after("aa") or predict("a").otherwise()
ProgramError: rule 2 is None, of type NoneType
  where: p.py:3:11
  fix:   write predict("b").after("aa") or predict("a").otherwise()

== a rules file of comments
--- p.rules
# nothing
$ run p.rules a
ProgramError: the program has no rules
  where: p.rules:1:1
  fix:   …

== a rules file without rules
--- p.rules
vocabulary a b
context 3
$ run p.rules a
ProgramError: the program has no rules
  where: p.rules:1:1
  fix:   …

== an empty rule on the command line
$ run -e '' a
ProgramError: the program has no rules
  where: -e:1:1
  fix:   …

======== syntax of rules

== a statement that is none
--- p.rules
vocabulary a b
hello there
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'hello' is not allowed here
  where: p.rules:2:1, hello there
  fix:   expected `bos` or `context` or `inputs` or `predict` or `table` or `vocabulary` or …

== a misspelled ending
--- p.rules
vocabulary a b
predict a otherwis
$ run p.rules a
RuleSyntaxError: 'otherwis' is not allowed here
  where: p.rules:2:11, predict a otherwis
  fix:   did you mean `otherwise`?

== a rule without an ending
--- p.rules
vocabulary a b
predict a
predict a otherwise
$ run p.rules a
RuleSyntaxError: the line's end is not allowed here
  where: p.rules:2:10, predict a
  fix:   expected `after` or `otherwise` or `when`

== a rule without a token
--- p.rules
vocabulary a b
predict
predict a otherwise
$ run p.rules a
RuleSyntaxError: the line's end is not allowed here
  where: p.rules:2:8, predict
  fix:   expected a word

== something after otherwise
--- p.rules
predict a otherwise b
$ run p.rules a
RuleSyntaxError: 'b' is not allowed here
  where: p.rules:1:21, predict a otherwise b
  fix:   expected the end of the line

== two numbers for the context
--- p.rules
context 5 6
predict a otherwise
$ run p.rules a
RuleSyntaxError: '6' is not allowed here
  where: p.rules:1:11, context 5 6
  fix:   expected the end of the line

== a context line without a number
--- p.rules
context
predict a otherwise
$ run p.rules a
RuleSyntaxError: the line's end is not allowed here
  where: p.rules:1:8, context
  fix:   expected a word

== a second vocabulary
--- p.rules
vocabulary a b
vocabulary a b
predict a otherwise
$ run p.rules a
RuleSyntaxError: a second `vocabulary` line
  where: p.rules:2:1
  fix:   state it once

== a second context
--- p.rules
context 5
predict a otherwise
context 6
$ run p.rules a
RuleSyntaxError: a second `context` line
  where: p.rules:3:1
  fix:   state it once

== two wrong lines, both told
--- p.rules
context 5
context 6
vocabulary a
vocabulary b
predict a otherwise
$ run p.rules a
RuleSyntaxError: a second `context` line
  where: p.rules:2:1
  fix:   state it once
RuleSyntaxError: a second `vocabulary` line
  where: p.rules:4:1
  fix:   state it once

== a backslash at the end of a line
--- p.rules
predict a after b\
predict a otherwise
$ run p.rules a
RuleSyntaxError: '\\' is not allowed here
  where: p.rules:1:18, predict a after b\
  fix:   expected `otherwise` or `when` or the end of the line

== a wrong rule on the command line
$ run -e 'predict b aftr aa' a
RuleSyntaxError: 'aftr' is not allowed here
  where: -e:1:11, predict b aftr aa
  fix:   did you mean `after`?

== a wrong second rule on the command line
$ run -e 'predict b after aa' -e 'predict' a
RuleSyntaxError: the line's end is not allowed here
  where: -e:2:8, predict
  fix:   expected a word

== an unknown token on the command line
$ run -e 'predict b after aa' -e 'vocabulary a' aa
VocabularyError: the rule predicts 'b', which is not in the vocabulary
  where: -e:1:1, predict b after aa
  fix:   use one of its 1 tokens: a

======== python files

== a file that raises
--- p.py
x = 1
raise ValueError('no luck')
$ run p.py a
CommandError: p.py raised ValueError: no luck
  where: p.py:2
  fix:   fix the error: the file is run from top to bottom

== a file that raises deep down
--- p.py
def f():
    return 1 / 0


f()
$ run p.py a
CommandError: p.py raised ZeroDivisionError: division by zero
  where: p.py:2
  fix:   fix the error: the file is run from top to bottom

== a file that raises without a word
--- p.py
raise ValueError
$ run p.py a
CommandError: p.py raised ValueError
  where: p.py:1
  fix:   fix the error: the file is run from top to bottom

== a file that exits
--- p.py
import sys

sys.exit(3)
$ run p.py a
CommandError: p.py raised SystemExit: 3
  where: p.py:3
  fix:   fix the error: the file is run from top to bottom

== a file that exits without a word
--- p.py
import sys

sys.exit()
$ run p.py a
CommandError: p.py raised SystemExit
  where: p.py:3
  fix:   fix the error: the file is run from top to bottom

== a file with a syntax error
--- p.py
x = 1
y = = 2
$ run p.py a
CommandError: p.py raised SyntaxError: invalid syntax (p.py, line 2)
  where: p.py:2
  fix:   fix the error: the file is run from top to bottom

== a file with a bracket that is not closed
--- p.py
x = 1
y = (
$ run p.py a
CommandError: p.py raised SyntaxError: '(' was never closed (p.py, line 2)
  where: p.py:2
  fix:   fix the error: the file is run from top to bottom

== a file that is indented wrongly
--- p.py
x = 1
  y = 2
$ run p.py a
CommandError: p.py raised IndentationError: unexpected indent (p.py, line 2)
  where: p.py:2
  fix:   fix the error: the file is run from top to bottom

== a file that imports what is not there
--- p.py

import no_such_module_anywhere
$ run p.py a
CommandError: p.py raised ModuleNotFoundError: No module named 'no_such_module_anywhere'
  where: p.py:2
  fix:   fix the error: the file is run from top to bottom

== a file whose import has a syntax error
--- p.py
x = 1
import wrong_beside_p
--- wrong_beside_p.py
a = 1
b = 2
c = 3
d = = 4
$ run p.py a
CommandError: p.py raised SyntaxError: invalid syntax (wrong_beside_p.py, line 4)
  where: …wrong_beside_p.py:4
  fix:   …

== a file whose import raises
--- p.py
x = 1
import raising_beside_p
--- raising_beside_p.py
a = 1
b = 2
raise ValueError('no luck')
$ run p.py a
CommandError: p.py raised ValueError: no luck
  where: p.py:2
  fix:   fix the error: the file is run from top to bottom

== a file without a program
--- p.py
x = 1
$ run p.py a
CommandError: p.py contains neither a program nor expressions
  where: p.py
  fix:   write program = Program(...), circuits = Circuits(...) or outputs = {"name": ...}

== a file with a hidden program only
--- p.py
RULES
_program = Program("ab", 3, rules)
$ run p.py a
CommandError: p.py contains neither a program nor expressions
  where: p.py
  fix:   write program = Program(...), circuits = Circuits(...) or outputs = {"name": ...}

== a file with several programs
--- p.py
RULES
one = Program("ab", 3, rules)
two = Program("ab", 4, rules)
$ run p.py a
CommandError: p.py contains 2 programs: one, two
  where: p.py
  fix:   name one, as in p.py:one

== a name that is not in the file
--- p.py
RULES
one = Program("ab", 3, rules)
two = Program("ab", 4, rules)
$ run p.py:three a
CommandError: p.py has no program and no expression 'three'
  fix:   it has: one, two

== a name in a file without a program
--- p.py
x = 1
$ run p.py:one a
CommandError: p.py has no program and no expression 'one'
  fix:   it has: none

== a name of something else
--- p.py
RULES
x = 1
one = Program("ab", 3, rules)
$ run p.py:x a
CommandError: p.py has no program and no expression 'x'
  fix:   it has: one

== outputs that are no table
--- p.py
PROMPTS
outputs = [token]
$ run p.py a
CommandError: `outputs` is [<category: token>], not a dictionary of named expressions
  where: p.py
  fix:   write outputs = {"name": expression}

== an output that is not an expression
--- p.py
PROMPTS
outputs = {"see": select(token, "a")}
$ compile p.py -o out
CommandError: 'see' of `outputs` is <selection: see = select(token, 'a')>, and that is not an expression
  where: p.py
  fix:   .count() and .exists() make one of a selection, prompts.constant(x) of a value

== outputs without any
--- p.py
outputs = {}
$ run p.py a
CommandError: `outputs` is empty
  where: p.py
  fix:   name at least one expression

== outputs over two prompts
--- p.py
PROMPTS
other = Prompts("ab", context=5)
outputs = {"first": token == "a", "second": other.token == "a"}
$ verify p.py
ProgramError: `second` belongs to other prompts: those of p.py:5:9, not those of p.py:2:11
  where: p.py:6:45
  fix:   make all expressions of a program from one Prompts

== a text that is too long for its values
--- p.py
PROMPTS
outputs = {"it": token == "a"}
$ run p.py ababab
ModelError: a text of 6 tokens for a context of 5
  where: the command handcraft run p.py ababab
  fix:   give 1 to 5 tokens

== tokens that shall follow values
--- p.py
PROMPTS
outputs = {"it": token == "a"}
$ run p.py ab -n 3 --seed 1
CommandError: -n, --seed: the model computes values, and does not continue a text
  where: the command handcraft run p.py ab -n 3 --seed 1
  fix:   leave out -n, --seed

== values in the shape of a published GPT-2
--- p.py
PROMPTS
outputs = {"it": token == "a"}
$ compile p.py -o out --like gpt2-small --optimize
CommandError: --like, --optimize: only for programs, and this file has expressions without rules
  where: the command handcraft compile p.py -o out --like gpt2-small --optimize
  fix:   leave out --like, --optimize

== a compiled program without a folder
$ compile aab
CommandError: there is no folder to write
  where: the command handcraft compile aab
  fix:   name one with -o, or show a pass with --show

== a pass that is not there
$ compile aab --show fuse_table
CompileError: there is no pass 'fuse_table'
  where: the command handcraft compile aab --show fuse_table
  fix:   did you mean 'fuse tables'? passes are: as written, ranked rules, …

== ranked rules of expressions
--- p.py
PROMPTS
outputs = {"it": token == "a"}
$ compile p.py --show ranked-rules
CompileError: there is no pass 'ranked-rules'
  where: the command handcraft compile p.py --show ranked-rules
  fix:   passes are: as written, fold and share, lower aggregates, fuse tables, approximate

== a pass and a folder
$ compile aab --show ranked-rules -o out
CommandError: --show prints a pass and writes no folder, but -o is out
  where: the command handcraft compile aab --show ranked-rules -o out
  fix:   leave out -o, or leave out --show

== a pass over circuits
$ compile by_hand --show fuse-tables
CommandError: passes work on rules and expressions, and these are circuits
  where: …by_hand.py:32:12
  fix:   name the program that they were compiled from

== a tolerance for a program
$ verify aab --tolerance 0.1
CommandError: --tolerance: only for expressions in a Python file, and this is a program
  where: the command handcraft verify aab --tolerance 0.1
  fix:   leave out --tolerance

== a program among expressions that is not there
--- p.py
PROMPTS
seen = token == "a"
$ run p.py:sen a
CommandError: p.py has no program and no expression 'sen'
  where: the command handcraft run p.py:sen a
  fix:   it has: seen

== circuits that do not fit
--- p.py
from handcraft.circuits import Circuits, embed_token, one_hot
token = one_hot('token', 'ab')
circuits = Circuits('abc', 3, embedding=[embed_token(token)], blocks=[], unembedding=token)
$ run p.py a
CircuitError: the table of `token` has 2 rows for 3 tokens
  where: p.py:3:12
  fix:   give one row for each token
EncodingError: the unembedding reads `token`, one-hot, with the values a b
  where: p.py:3:12
  fix:   read a subspace whose values are the tokens: a b c

======== names of programs

== a file of another kind
--- p.txt
predict a otherwise
$ run p.txt a
CommandError: p.txt is neither a .py nor a .rules file
  fix:   name a program file, or a folder that `handcraft compile` wrote

== a program that is not there
$ run nonsuch a
CommandError: there is no file and no shipped program 'nonsuch'
  fix:   shipped programs are: SHIPPED

== a file that is not there
$ run nonsuch.py a
CommandError: there is no file and no shipped program 'nonsuch.py'
  fix:   no such file is in …; `handcraft list` names shipped programs

== a file in a folder that is not there
$ run nowhere/sums.py a
CommandError: there is no file and no shipped program 'nowhere/sums.py'
  fix:   there is no folder nowhere in …

== a folder that is not there
$ verify nonsuch/
CommandError: there is no file and no shipped program 'nonsuch/'
  fix:   `handcraft compile PROGRAM -o nonsuch/` writes such a folder

== a name that is almost that of a file
--- counting.rules
predict a otherwise
$ run countin.rules a
CommandError: there is no file and no shipped program 'countin.rules'
  fix:   did you mean counting.rules?

== a name like no other
$ run xyzzy a
CommandError: there is no file and no shipped program 'xyzzy'
  fix:   shipped programs are: SHIPPED

== a name that is almost that of a shipped program
$ run abb a
CommandError: there is no file and no shipped program 'abb'
  fix:   did you mean aab?

== a folder that is no checkpoint
--- notes/readme.txt
mine
$ run notes a
CheckpointError: the folder has no handcraft.json
  where: notes
  fix:   name a folder that `handcraft compile` wrote

== a folder to compile
--- notes/readme.txt
mine
$ compile notes -o out
CommandError: notes is a folder, and this command needs a program
  fix:   …

== a folder called like a program
--- p.py/readme.txt
mine
$ compile p.py -o out
CommandError: p.py is a folder, and this command needs a program
  fix:   …

======== choices

== an unknown architecture
$ compile aab -o out --architecture gpt5
ArchitectureError: there is no architecture 'gpt5'
  fix:   known are: ARCHITECTURES

== an unknown dtype
$ compile aab -o out --dtype float8
PrecisionError: weights cannot be of the type 'float8'
  fix:   use one of: float32, float64, float16, bfloat16

== a dtype that is too narrow for a rule file
--- p.rules
vocabulary a b
context 20
predict a when count of b > 3
predict b otherwise
$ compile p.rules -o out --dtype bfloat16
PrecisionError: `select(token, 'b').count()` must distinguish numbers that differ by 0.03125, …
  where: p.rules:3:16
  fix:   use --dtype float32; or `context 8`, the largest that fits (both tried)

== a dtype that is too narrow for a Python program
--- p.py
PROMPTS
counted = select(token, token).count() > 3
program = Program(prompts=prompts, rules=[predict("b").when(counted), predict("a").otherwise()])
$ compile p.py -o out --dtype bfloat16
PrecisionError: `select(token, token).count()` depends on 5 sources with the same …
  where: p.py:5:11
  fix:   use --dtype float32; or --architecture block, which has no LayerNorm (both tried)

== an unknown format
$ compile aab -o out --format pickle
CheckpointError: there is no format 'pickle'
  fix:   use one of: huggingface, safetensors, npz, raschka, onnx, gguf

== rules that speak about fewer positions than a published shape has
--- p.rules
vocabulary a b
context 6
predict a when count of b > 2
predict b otherwise
$ compile p.rules -o out --like gpt2-small
CompileError: the rules are written for 6 positions, but 1024 are requested
  where: p.rules
  fix:   write `context 1024` in the file

== rules that speak about more positions than the model shall have
--- p.rules
vocabulary a b
predict a when position >= 3
predict b otherwise
$ compile p.rules -o out --n-positions 4
CompileError: the rules are written for 8 positions, but 4 are requested
  where: p.rules
  fix:   write `context 4` in the file

== expressions that speak about fewer positions than a published shape has
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict(token).when(position >= 3), otherwise])
$ compile p.py -o out --like gpt2-small
CompileError: the expressions of the program are written for 5 positions, but n_positions=1024
  where: p.py:5:11
  fix:   Prompts(..., context=1024)

== unknown positions
$ compile aab -o out --positions sines
CompileError: there is no encoding of positions 'sines'
  fix:   use one of: auto, one-hot, binary, sinusoidal

== a width in which tokens do not even fit as bits
--- p.rules
vocabulary a b c d e f g h i j k l m n o p q r s t u v w x y z
predict b after a a
predict a otherwise
$ compile p.rules -o out --n-embd 24 --n-head 3
LayoutError: the residual stream needs 56 dimensions, but n_embd=24
  fix:   n_embd=57

== a class that takes more neurons than are made where tokens are bits
--- p.rules
vocabulary a b c d e f g h i j k l m n o p q r s t u v w x y z
predict b after [abdgkpv][abdgkpv][abdgkpv][abdgkpv][abdgkpv]
predict a otherwise
$ compile p.rules -o out --tokens binary --architecture block
LimitError: `predict b after …` takes 7,776 neurons where tokens are encoded as bits, more than 4,096
  where: p.rules:2:1
  fix:   name the tokens of a class one after the other in the vocabulary, or encode tokens one-hot

== an infinite temperature
$ run aab aab --temperature inf
ModelError: a temperature of inf
  fix:   use 0 for greedy, or a positive one

== a program besides a rule to compile
$ compile aab -e 'predict b after aa' -o out
CommandError: both a program, aab, and rules are given
  fix:   leave out aab, or the rules after -e

== no program
$ verify
CommandError: no program is named
  fix:   name a file or a shipped program, or use -e "RULE"

== a picture without an ending
$ draw aab -o picture
DrawError: picture has no known picture format
  fix:   end its name in .svg, .png or .dot

== a picture of an unknown kind
$ draw aab -o picture.gif
DrawError: picture.gif has no known picture format
  fix:   end its name in .svg, .png or .dot

== an unknown tensor
$ explain aab wte 0 0
ModelError: there is no tensor 'wte'
  fix:   did you mean wte.weight?

== a misspelled tensor
$ explain add h.0.attn.c_atn.weight 0 0
ModelError: there is no tensor 'h.0.attn.c_atn.weight'
  fix:   did you mean h.0.attn.c_attn.weight or h.1.attn.c_attn.weight or h.0.attn.c_proj.weight?

== a tensor without its block
$ explain aab c_fc.bias 0
ModelError: there is no tensor 'c_fc.bias'
  fix:   did you mean h.0.mlp.c_fc.bias?

== a tensor as Hugging Face calls it
$ explain aab transformer.wpe.weight 0 0
ModelError: there is no tensor 'transformer.wpe.weight'
  fix:   did you mean wpe.weight?

== a name that no tensor is like
$ explain add xyz 0 0
ModelError: there is no tensor 'xyz'
  fix:   there are: wte.weight, wpe.weight, h.0.ln_1.weight, …, ln_f.bias, and so on up to block 1

== too few numbers for a matrix
$ explain aab wte.weight 0
ModelError: wte.weight is [3, 29], and has no entry [0]
  fix:   give 2 numbers, each from 0 and below its size

== too many numbers for a bias
$ explain aab h.0.attn.c_proj.bias 0 0
ModelError: h.0.attn.c_proj.bias is [29], and has no entry [0, 0]
  fix:   give 1 numbers, each from 0 and below its size

== a row past the end
$ explain aab wte.weight 3 0
ModelError: wte.weight is [3, 29], and has no entry [3, 0]
  fix:   give 2 numbers, each from 0 and below its size

======== outputs

== an output that is a file
--- out
mine
$ compile aab -o out
CheckpointError: out is a file
  where: out
  fix:   name a folder that does not exist yet

== an output below a file
--- file
mine
$ compile aab -o file/out
CheckpointError: file/out cannot be written: file is not a folder
  where: file/out
  fix:   …

== an output that holds something else
--- out/notes.txt
mine
$ compile aab -o out
CheckpointError: out contains something else: notes.txt
  where: out
  fix:   name another folder, or empty this one

== an output that holds much else
--- out/a.txt
mine
--- out/b.txt
mine
--- out/c.txt
mine
--- out/d.txt
mine
--- out/e.txt
mine
$ compile aab -o out
CheckpointError: out contains something else: a.txt, b.txt, c.txt
  where: out
  fix:   name another folder, or empty this one

== an output with tensors and no record
--- out/model.safetensors
mine
$ compile aab -o out
CheckpointError: out contains something else: model.safetensors
  where: out
  fix:   name another folder, or empty this one

== the working folder as an output
--- mine.txt
mine
$ compile aab -o .
CheckpointError: . contains something else: mine.txt
  where: .
  fix:   name another folder, or empty this one

== a picture below a file
--- file
mine
$ draw aab -o file/p.dot
…Error: file/p.dot cannot be written: file is not a folder
  where: file/p.dot
  fix:   …

== a picture in the place of a folder
--- out.svg/readme.txt
mine
$ draw aab -o out.svg
CheckpointError: out.svg cannot be written: Is a directory
  where: out.svg
  fix:   choose a place with write permission and enough space

== a program that is wrong, with an output
--- p.rules
vocabulary a b
predict c otherwise
$ compile p.rules -o out
VocabularyError: the rule predicts 'c', which is not in the vocabulary
  where: p.rules:2:1, predict c otherwise
  fix:   use one of its 2 tokens: a b

======== expressions

== arithmetic on tokens
--- p.py
PROMPTS
value = token + 1
$ run p.py a
DomainError: `token` is not a number: it is one of 'a' 'b'
  where: p.py:5:9, token + 1
  fix:   turn it into numbers with .map({...})

== a product of tokens
--- p.py
PROMPTS
value = token * token
$ run p.py a
DomainError: `token` is a category ('a' 'b'), not a number
  where: p.py:5:9, token * token
  fix:   turn it into numbers with .map({...})

== an order of tokens
--- p.py
PROMPTS
value = token < "b"
$ run p.py a
DomainError: `token` has no order: its values are 'a' 'b'
  where: p.py:5:9, token < 'b'
  fix:   give them an order with .map({...}) to numbers

== a comparison with what is no token
--- p.py
PROMPTS
value = token == "x"
$ run p.py a
DomainError: `token` is never 'x': it is one of 'a' 'b'
  where: p.py:5:9, token == 'x'
  fix:   compare it with one of: 'a' 'b'

== a comparison of two kinds
--- p.py
PROMPTS
value = token == position
$ run p.py a
DomainError: `token` is a category ('a' 'b'), and `position` is a number (0 to 4)
  where: p.py:5:9, token == position
  fix:   compare values of one kind; .map({...}) turns one into the other

== a division by 0
--- p.py
PROMPTS
value = position % 0
$ run p.py a
DomainError: division by 0
  where: p.py:5:9, position % 0
  fix:   divide by a number other than 0

== a division by what may be 0
--- p.py
PROMPTS
value = 1 / position
$ run p.py a
DomainError: `position` may be 0: it is one of 0 to 4
  where: p.py:5:9, 1 / position
  fix:   use where() to choose what happens then, or .assume() values without 0

== a list in arithmetic
--- p.py
PROMPTS
value = position + [1, 2]
$ run p.py a
DomainError: [1, 2] is not a value of a sequence
  where: p.py:5:9
  fix:   use a label, a flag or a finite number

== a number that is none
--- p.py
PROMPTS
value = position * float("nan")
$ run p.py a
DomainError: nan is not a value of a sequence
  where: p.py:5:9
  fix:   use a label, a flag or a finite number

== and of what are no flags
--- p.py
PROMPTS
value = token & (position > 1)
$ run p.py a
DomainError: `token` is a category ('a' 'b'), not a flag
  where: p.py:5:9, token & (position > 1)
  fix:   compare it: token == ...

== not of what is no flag
--- p.py
PROMPTS
value = ~position
$ run p.py a
DomainError: `position` is a number (0 to 4), not a flag
  where: p.py:5:9, ~position
  fix:   compare it: position == ...

== a Python and
--- p.py
PROMPTS
value = (token == "a") and (position > 1)
$ run p.py a
DomainError: `token == 'a'` has a value at every position, so it is neither true nor false
  where: p.py:5:9
  fix:   use & | ~ for and, or, not; where(c, x, y) for a choice; (1 < x) & (x < 3) for 1 < x < 3

== a Python if
--- p.py
PROMPTS
value = 1 if token == "a" else 0
$ run p.py a
DomainError: `token == 'a'` has a value at every position, so it is neither true nor false
  where: p.py:5:14
  fix:   use & | ~ for and, or, not; where(c, x, y) for a choice; (1 < x) & (x < 3) for 1 < x < 3

== a loop over an expression
--- p.py
PROMPTS
value = list(token)
$ run p.py a
DomainError: `token` has no elements before there is a text
  where: p.py:5:9
  fix:   use .trace(text) for its values

== a table with a hole
--- p.py
PROMPTS
value = token.map({"a": 1})
$ run p.py a
DomainError: the table has no row for token = 'b'
  where: p.py:5:9, token.map({'a': 1})
  fix:   add 'b': ..., or .assume() the values that occur

== a table of two kinds
--- p.py
PROMPTS
value = token.map({"a": 1, "b": "x"})
$ run p.py a
DomainError: the results are of 2 kinds: 1 for 'a' and 'x' for 'b'
  where: p.py:5:9, token.map({'a': 1, 'b': 'x'})
  fix:   answer with only labels, only flags or only numbers

== a function that fails
--- p.py
PROMPTS
value = position.map(lambda p: 1 // p)
$ run p.py a
DomainError: the function fails for position = 0: ZeroDivisionError: integer division or modulo by zero
  where: p.py:5:9, position.map(lambda p: 1 // p)
  fix:   make it answer for every value, or .assume() the values that occur

== a function that answers with a list
--- p.py
PROMPTS
value = position.map(lambda p: [p])
$ run p.py a
DomainError: [0] is not a value of a sequence
  where: p.py:5:9
  fix:   use a label, a flag or a finite number

== a table with a hole for two
--- p.py
PROMPTS
value = lookup({("a", 0): 1}, token, position)
$ run p.py a
DomainError: the table has no row for token = 'a', position = 1
  where: p.py:5:9, lookup({('a', 0): 1}, token, position)
  fix:   add ('a', 1): ..., or .assume() the values that occur

== a lookup without arguments
--- p.py
PROMPTS
value = lookup(max)
$ run p.py a
DomainError: `lookup` of (), which is not an expression
  where: p.py:5:9
  fix:   begin with token or position of a Prompts; its .constant(x) is x at every position

== a table of a million rows
--- p.py
PROMPTS
value = lookup(max, *[window(5).mean(position % k) for k in range(2, 7)])
$ run p.py a
DomainError: a table over 5 expressions has 12,037,641 rows, more than 200,000: …, and 1 more
  where: p.py:5:9, lookup(max, window(5).mean(position % 2), …)
  fix:   combine fewer of them at a time, or .assume() the values that occur

== where without a flag
--- p.py
PROMPTS
value = where(position, 1, 2)
$ run p.py a
DomainError: `position` is a number (0 to 4), not a flag
  where: p.py:5:9, where(position, 1, 2)
  fix:   compare it: position == ...

== where of two kinds
--- p.py
PROMPTS
value = where(token == "a", 1, "b")
$ run p.py a
DomainError: `1` is a number, and `'b'` is a category
  where: p.py:5:9, where(token == 'a', 1, 'b')
  fix:   choose between values of one kind

== where of a value
--- p.py
PROMPTS
value = where(True, 1, 2)
$ run p.py a
DomainError: `where` of True, which is not an expression
  where: p.py:5:9
  fix:   begin with token or position of a Prompts; its .constant(x) is x at every position

== an assumption that cannot be
--- p.py
PROMPTS
value = token.assume("ax")
$ run p.py a
DomainError: `token` is never 'x': it is one of 'a' 'b'
  where: p.py:5:9, token.assume(['a', 'x'])
  fix:   name some of 'a' 'b'

== an assumption of nothing
--- p.py
PROMPTS
value = token.assume([])
$ run p.py a
DomainError: there are no values
  where: p.py:5:9
  fix:   use only labels, only flags or only numbers, at least one

== an assumption of another kind
--- p.py
PROMPTS
value = token.assume([1])
$ run p.py a
DomainError: `token` is a category, and 1 is a number
  where: p.py:5:9, token.assume([1])
  fix:   name some of 'a' 'b'

======== looking elsewhere

== a look back without a default
--- p.py
PROMPTS
value = token.at(-1)
$ run p.py a
DomainError: a position may select nothing, and there is no default
  where: p.py:5:9, token.at(-1)
  fix:   give default=, a value of `token`: 'a' 'b'

== a look back with a default that is no value
--- p.py
PROMPTS
value = token.at(-1, default="x")
$ run p.py a
DomainError: the default 'x' is not a value of `token`: 'a' 'b'
  where: p.py:5:9, token.at(-1, default='x')
  fix:   give one of: 'a' 'b'

== a look ahead
--- p.py
PROMPTS
value = token.at(1, default="a")
$ run p.py a
DomainError: `token.at(1, default='a')` looks 1 ahead, which a causal model cannot see
  where: p.py:5:9, token.at(1, default='a')
  fix:   read an earlier position, or declare Prompts(..., causal=False)

== a look at a computed place
--- p.py
PROMPTS
value = token.at(position, default="a")
$ run p.py a
DomainError: `token` at <number: position>, of type Expression
  where: p.py:5:9
  fix:   give a whole number of positions; for a computed one use select(position, ...)

== a position past the context
--- p.py
PROMPTS
value = token.at_position(5)
$ run p.py a
DomainError: `token` has no position 5: the context is 5
  where: p.py:5:9
  fix:   use a position from 0 to 4

== a position that may not be seen
--- p.py
PROMPTS
value = token.at_position(3)
$ run p.py a
DomainError: a position may select nothing, and there is no default
  where: p.py:5:9, token.at_position(3)
  fix:   give default=, a value of `token`: 'a' 'b'

== a window of nothing
--- p.py
PROMPTS
value = window(0)
$ run p.py a
DomainError: a window of 0 positions
  where: p.py:5:9
  fix:   use 1 or more

== a mean of tokens over a window
--- p.py
PROMPTS
value = window(2).mean(token)
$ run p.py a
DomainError: `token` has no mean: it is one of 'a' 'b'
  where: p.py:5:9, window(2).mean(token)
  fix:   take its .latest() or .earliest(), or turn it into numbers with .map({...})

== a mean of a value over a window
--- p.py
PROMPTS
value = window(2).mean(1)
$ run p.py a
DomainError: `window(2).mean` of 1, which is not an expression
  where: p.py:5:9
  fix:   begin with token or position of a Prompts; its .constant(x) is x at every position

== weights of tokens
--- p.py
PROMPTS
value = weighted(token, {0: 1})
$ run p.py a
DomainError: `token` is not a number: it is one of 'a' 'b'
  where: p.py:5:9, weighted(token, {0: 1})
  fix:   turn it into numbers with .map({...})

== weights that are none
--- p.py
PROMPTS
value = weighted(position, {0: "a"})
$ run p.py a
DomainError: the weight 'a' is not a number
  where: p.py:5:9, weighted(position, {0: 'a'})
  fix:   give a number, such as 0.5

== weights ahead
--- p.py
PROMPTS
value = weighted(position, {1: 1})
$ run p.py a
DomainError: `position.at(1, default=0)` looks 1 ahead, which a causal model cannot see
  where: p.py:5:9, position.at(1, default=0)
  fix:   read an earlier position, or declare Prompts(..., causal=False)

== weights of a value
--- p.py
PROMPTS
value = weighted(3, {0: 1})
$ run p.py a
DomainError: `weighted` of 3, which is not an expression
  where: p.py:5:9
  fix:   begin with token or position of a Prompts; its .constant(x) is x at every position

== a selection by two kinds
--- p.py
PROMPTS
value = select(token, position)
$ run p.py a
DomainError: `token` is a category ('a' 'b'), and `position` is a number (0 to 4)
  where: p.py:5:9, select(token, position)
  fix:   compare values of one kind; .map({...}) turns one into the other

== a selection by an unknown token
--- p.py
PROMPTS
value = select(token, "x")
$ run p.py a
DomainError: `token` is never 'x': it is one of 'a' 'b'
  where: p.py:5:9, select(token, 'x')
  fix:   compare it with one of: 'a' 'b'

== a selection by an order of tokens
--- p.py
PROMPTS
value = select(token, token, "<")
$ run p.py a
DomainError: `token` has no order: its values are 'a' 'b'
  where: p.py:5:9, select(token, token, '<')
  fix:   give them an order with .map({...}) to numbers

== a selection by an unknown relation
--- p.py
PROMPTS
value = select(token, token, "=~")
$ run p.py a
DomainError: '=~' is not a relation of a key and a query
  where: p.py:5:9, select(token, token, '=~')
  fix:   use one of "==", "!=", "<", "<=", ">", ">=", or a function of both

== a selection with a value for a key
--- p.py
PROMPTS
value = select("a", token)
$ run p.py a
DomainError: `select` of 'a', which is not an expression
  where: p.py:5:9
  fix:   begin with token or position of a Prompts; its .constant(x) is x at every position

== a mean of tokens
--- p.py
PROMPTS
value = select(token, token).mean(token)
$ run p.py a
DomainError: `token` has no mean: it is one of 'a' 'b'
  where: p.py:5:9, select(token, token).mean(token)
  fix:   take its .latest() or .earliest(), or turn it into numbers with .map({...})

== the latest of nothing
--- p.py
PROMPTS
value = select(token, "a").latest(token)
$ run p.py a
DomainError: a position may select nothing, and there is no default
  where: p.py:5:9, select(token, 'a').latest(token)
  fix:   give default=, a value of `token`: 'a' 'b'

== the earliest with a default of another kind
--- p.py
PROMPTS
value = select(token, "a").earliest(token, default=1)
$ run p.py a
DomainError: the default 1 is not a value of `token`: 'a' 'b'
  where: p.py:5:9, select(token, 'a').earliest(token, default=1)
  fix:   give one of: 'a' 'b'

== the latest of a value
--- p.py
PROMPTS
value = select(token, "a").latest("a", default="a")
$ run p.py a
DomainError: `select(token, 'a').latest` of 'a', which is not an expression
  where: p.py:5:9
  fix:   begin with token or position of a Prompts; its .constant(x) is x at every position

== a selection and an expression
--- p.py
PROMPTS
value = select(token, "a") & (token == "a")
$ run p.py a
DomainError: `select(token, 'a')` is a selection, and <flag: token == 'a'> is not
  where: p.py:5:9
  fix:   combine it with another select(...); .exists() and .count() make it an expression

== an expression and a selection
--- p.py
PROMPTS
value = (token == "a") & select(token, "a")
$ run p.py a
DomainError: <selection: select(token, 'a')> is not a value of a sequence
  where: p.py:5:9
  fix:   use a label, a flag or a finite number

== an order of means by attention
--- p.py
PROMPTS
value = select(window(5).mean(window(5).mean(position)), position)
$ run p.py a
DomainError: `window(5).mean(window(5).mean(position))` has too many values for a table: …
  where: p.py:5:9
  fix:   compare it with a number, or .assume() the values that occur

== expressions of two prompts
--- p.py
PROMPTS
value = token == Prompts("ab", context=5).token
$ run p.py a
ProgramError: `token` belongs to other prompts: those of p.py:5:18, not those of p.py:2:11
  where: p.py:5:9
  fix:   make all expressions of a program from one Prompts

== selections of two prompts
--- p.py
PROMPTS
value = select(token, "a") | select(Prompts("ab", context=5).token, "a")
$ run p.py a
ProgramError: `select(token, 'a')` belongs to other prompts: …:5:37, not those of p.py:2:11
  where: p.py:5:9
  fix:   make all expressions of a program from one Prompts

== a choice between two prompts
--- p.py
PROMPTS
value = where(token == "a", Prompts("ab", context=5).position, 1)
$ run p.py a
ProgramError: `position` belongs to other prompts: those of p.py:5:29, not those of p.py:2:11
  where: p.py:5:9
  fix:   make all expressions of a program from one Prompts

======== automata

== an automaton without an alphabet
--- p.py
from handcraft import regex
value = regex(".*")
$ run p.py a
ProgramError: '.*' names no character, so its alphabet is unknown
  where: p.py:2:9
  fix:   name the tokens it reads, as in regex('.*', alphabet="ab")

== an automaton with an atomic group
--- p.py
from handcraft import regex
value = regex("b(?>ab)")
$ run p.py a
RegularExpressionError: 'b(?>ab)' has an atomic group at character 1, which is not supported
  where: p.py:2:9
  fix:   write it without, or draw the texts from a Hypothesis strategy, such as …

== an automaton of a text that is said again
--- p.py
from handcraft import regex
value = regex(r"((a|b)+)\1")
$ run p.py a
RegularExpressionError: '((a|b)+)\\1' takes more than 1,000 states
  where: p.py:2:9
  fix:   repeat less often, or list its states: Automaton(states, start, accept, ...)

======== prompts

== prompts without a context
--- p.py
PROMPTS
value = Prompts("ab", context=0)
$ run p.py a
ProgramError: the context is 0
  where: p.py:5:9
  fix:   use a whole number of tokens, 1 or more

== inputs that are no regular expression
--- p.py
PROMPTS
value = Prompts("ab", context=5, inputs="[ab")
$ run p.py a
RegularExpressionError: inputs: '[ab' is not a regular expression, at character 0: …
  where: p.py:5:9
  fix:   write one as Python's re reads it, such as '[ab]+'; \ before a sign means itself

== inputs that no automaton of reasonable size decides
--- p.py
PROMPTS
value = Prompts("ab", context=100, inputs=r"(.+)\1")
$ run p.py a
RegularExpressionError: inputs: the automaton of '(.+)\\1' takes more than 10,000 states
  where: p.py:5:9
  fix:   repeat less often, refer to fewer groups, or leave out what only distinguishes texts that …

== inputs with a possessive quantifier
--- p.py
PROMPTS
value = Prompts("ab", context=5, inputs="a++b")
$ run p.py a
RegularExpressionError: inputs: 'a++b' has a possessive quantifier at character 1, which …
  where: p.py:5:9
  fix:   write it without, or draw the texts from a Hypothesis strategy, such as …

== inputs of another type
--- p.py
PROMPTS
value = Prompts("ab", context=5, inputs=3)
$ run p.py a
ProgramError: inputs=3, of type int
  where: p.py:5:9
  fix:   give a regular expression, a Hypothesis strategy, or nothing

== a bos that is no token
--- p.py
PROMPTS
value = Prompts("ab", context=5, bos="<s>")
$ run p.py a
ProgramError: bos='<s>' is not in the vocabulary
  where: p.py:5:9
  fix:   add it to the vocabulary

======== rules with expressions

== a rule about other prompts
--- p.py
PROMPTS
other = Prompts("ab", context=5)
program = Program(prompts=prompts, rules=[predict("b").when(other.token == "a"), otherwise])
$ run p.py a
ProgramError: `token == 'a'` belongs to other prompts: those of p.py:5:9, not those of p.py:2:11
  where: p.py:6:43, predict b when token == 'a'
  fix:   make all expressions of a program from its Prompts

== a category outside the vocabulary
--- p.py
PROMPTS
rules = [predict(token.map({"a": "b", "b": "c"})).after("a"), otherwise]
program = Program(prompts=prompts, rules=rules)
$ run p.py a
VocabularyError: the rule predicts `…`, which may be 'c', not in the vocabulary
  where: p.py:5:10, predict token.map({'a': 'b', 'b': 'c'}) after a
  fix:   turn it into tokens with .map({...}), or .assume() the values that occur; tokens are: a b

== a number to predict
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict(position).otherwise()])
$ run p.py a
DomainError: the rule predicts `position`, a number (0 to 4), but tokens are labels
  where: p.py:5:43, predict position otherwise
  fix:   turn it into tokens with .map({...})

== a condition that is no flag
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict("b").when(position), otherwise])
$ run p.py a
DomainError: the condition of the rule is `position`, a number (0 to 4), not a flag
  where: p.py:5:43, predict b when position
  fix:   compare it: .when(position == ...)

== a condition that is a pattern
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict("b").when("a"), otherwise])
$ run p.py a
ProgramError: rule 1 has the condition 'a', of type str
  where: p.py:5:43
  fix:   give a flag, such as .when(token == "a"); a pattern goes into .after()

== a pattern that is a condition
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict("b").after(token == "a"), otherwise])
$ run p.py a
ProgramError: rule 1 has the pattern <flag: token == 'a'>, of type Expression
  where: p.py:5:43
  fix:   patterns are strings; an expression goes into .when()

== a distribution that does not sum to 1
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict({"a": 0.25, "b": 0.5}).after("a"), otherwise])
$ run p.py a
ProgramError: the probabilities sum to 3/4, not to 1: 1/4 + 1/2
  where: p.py:5:43, predict a 1/4 b 1/2 after a
  fix:   give 'b' 3/4 in place of 1/2

== thirds that are rounded
--- p.py
PROMPTS
rules = [predict({"a": 1 / 3, "b": 2 / 3 + 1e-15}).after("a"), otherwise]
program = Program(prompts=prompts, rules=rules)
$ run p.py a
ProgramError: the probabilities sum to 1.0000000000000009, not to 1: 1/3 + …
  where: p.py:5:10, predict a 1/3 b 0.6666666666666676 after a
  fix:   write exact fractions: 'a': Fraction(1, 3), 'b': Fraction(2, 3)

== a distribution of unknown tokens
--- p.py
PROMPTS
program = Program("ab", 5, [predict({"a": 0.5, "c": 0.5}).after("a"), otherwise])
$ run p.py a
VocabularyError: the distribution names 'c', which is not in the vocabulary
  where: p.py:5:29, predict a 1/2 c 1/2 after a
  fix:   use one of its 2 tokens: a b

== an empty distribution
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict({}).otherwise()])
$ run p.py a
ProgramError: the distribution is empty
  where: p.py:5:43, predict {} otherwise
  fix:   give tokens their probabilities, such as {"a": 0.25, "b": 0.75}

== a probability of 0
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict({"a": 0, "b": 1}).otherwise()])
$ run p.py a
ProgramError: the probability of 'a' is 0
  where: p.py:5:43, predict a 0 b 1 otherwise
  fix:   leave 'a' out, or give it more than 0

== a probability in words
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict({"a": "half", "b": 0.5}).otherwise()])
$ run p.py a
ProgramError: the probability of 'a' is 'half', of type str
  where: p.py:5:43, predict a half b 1/2 otherwise
  fix:   give a number, such as 0.25 or Fraction(1, 3)

== expressions in a program without prompts
--- p.py
PROMPTS
program = Program("ab", 5, [predict("b").when(token == "a"), otherwise])
$ run p.py a
ProgramError: the rule reads `token == 'a'`, and the program has no prompts
  where: p.py:5:29, predict b when token == 'a'
  fix:   write Program(prompts=..., rules=[...]) with the Prompts that it is made from

== prompts for a vocabulary
--- p.py
PROMPTS
program = Program(prompts, [otherwise])
$ run p.py a
ProgramError: the program has prompts in place of a vocabulary
  where: p.py:5:11
  fix:   write Program(prompts=..., rules=[...])

== a context beside prompts
--- p.py
PROMPTS
program = Program(prompts=prompts, context=5, rules=[otherwise])
$ run p.py a
ProgramError: the program has a vocabulary or a context besides its prompts
  where: p.py:5:11
  fix:   write Program(prompts=..., rules=[...])

== neither vocabulary nor prompts
--- p.py
PROMPTS
program = Program(rules=[otherwise])
$ run p.py a
ProgramError: the program has no vocabulary
  where: p.py:5:11
  fix:   write Program("ab", 5, [...]), or Program(prompts=..., rules=[...])

== no rule that is sure to fire
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict("b").when(token == "a")])
$ run p.py a
UncoveredError: no rule is sure to fire: the last one, `predict b when token == 'a'`, has a condition
  where: p.py:5:11
  fix:   end the rules with one that always fires, as in predict("a").otherwise()

== a second condition
--- p.py
PROMPTS
rule = predict("b").when(token == "a").when(position > 1)
$ run p.py a
ProgramError: the rule has a second `.when()`
  where: p.py:5:8, predict b when token == 'a'
  fix:   join the two flags with &

== a second pattern
--- p.py
PROMPTS
rule = predict("b").after("a").after("b")
$ run p.py a
ProgramError: the rule has a second `.after()`
  where: p.py:5:8, predict b after a
  fix:   write one pattern for both

== a condition behind otherwise
--- p.py
PROMPTS
rule = predict("b").otherwise().when(token == "a")
$ run p.py a
ProgramError: `.when()` comes after otherwise(), which always fires
  where: p.py:5:8, predict b otherwise
  fix:   leave otherwise() out

== three wrong things in a rule, all told
--- p.py
PROMPTS
program = Program(prompts=prompts, rules=[predict("c").after("x").when(token), otherwise])
$ run p.py a
VocabularyError: the rule predicts 'c', which is not in the vocabulary
  where: p.py:5:43, predict c after x when token
  fix:   use one of its 2 tokens: a b
VocabularyError: the pattern 'x' names 'x', which is not in the vocabulary
  where: p.py:5:43, predict c after x when token
  fix:   use one of its 2 tokens: a b
DomainError: the condition of the rule is `token`, a category ('a' 'b'), not a flag
  where: p.py:5:43, predict c after x when token
  fix:   compare it: .when(token == ...)

======== sentences in rule files

== a condition that is missing
--- p.rules
vocabulary a b
predict b when
predict a otherwise
$ run p.rules a
RuleSyntaxError: the line's end is not allowed here
  where: p.rules:2:15, predict b when
  fix:   expected a condition

== a condition that breaks off
--- p.rules
vocabulary a b
predict b when token is a and
predict a otherwise
$ run p.rules a
RuleSyntaxError: the line's end is not allowed here
  where: p.rules:2:30, predict b when token is a and
  fix:   expected a condition

== a word that is no condition
--- p.rules
vocabulary a b
predict b when token equals a
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'equals' is not allowed here
  where: p.rules:2:22, predict b when token equals a
  fix:   write `is`

== a number compared as in Python's assignments
--- p.rules
predict b when position = 3
$ run p.rules a
RuleSyntaxError: '=' is not allowed here
  where: p.rules:1:25, predict b when position = 3
  fix:   write `==`

== a number that is another
--- p.rules
predict b when count of a is 2
$ run p.rules a
RuleSyntaxError: 'is' is not allowed here
  where: p.rules:1:27, predict b when count of a is 2
  fix:   write `==`, or `is at least`, `is at most`, `is more than`, `is less than`

== if in place of when
--- p.rules
predict b if token is a
$ run p.rules a
RuleSyntaxError: 'if' is not allowed here
  where: p.rules:1:11, predict b if token is a
  fix:   write `when`

== a token in quotes
--- p.rules
predict b when token is 'a'
$ run p.rules a
RuleSyntaxError: `'a'` is 3 tokens, and one is expected
  where: p.rules:1:25, predict b when token is 'a'
  fix:   write a without quotes

== a condition joined to a pattern
--- p.rules
predict b after aa and token is a
predict a otherwise
$ run p.rules a
RuleSyntaxError: `and` in a pattern is read as the tokens a n d
  where: p.rules:1:1, predict b after aa and token is a
  fix:   write `predict b after aa when token is a`; [a]nd spells those tokens

== a misspelled word of a condition
--- p.rules
vocabulary a b
predict b when token is a and postion >= 3
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'postion' is read as a token here, and '>=' cannot follow it
  where: p.rules:2:31, predict b when token is a and postion >= 3
  fix:   did you mean `position`?

== a word that conditions do not know
--- p.rules
vocabulary a b
predict b when foo is a
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'foo' is read as a token here, and 'is' cannot follow it
  where: p.rules:2:16, predict b when foo is a
  fix:   write `foo came before`, or begin with `position`, `token`, `first token`, …, `not`

== a token that is no condition by itself
--- p.rules
vocabulary a b
predict b when not a
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'a' is read as a token here, and the line's end cannot follow it
  where: p.rules:2:20, predict b when not a
  fix:   write `token is a` or `a came before`, or begin with …

== a count of nothing
--- p.rules
vocabulary a b
predict b when count > 2
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'count' is read as a token here, and '>' cannot follow it
  where: p.rules:2:16, predict b when count > 2
  fix:   did you mean `count of`?

== a misspelled place of a token
--- p.rules
vocabulary a b
predict b when the tokn 2 back is a
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'the' is read as a token here, and 'tokn' cannot follow it
  where: p.rules:2:16, predict b when the tokn 2 back is a
  fix:   did you mean `the token`, `the first token` or `the last token`?

== a class in a condition that is not closed
--- p.rules
vocabulary a b
predict b when token is [ab
predict a otherwise
$ run p.rules a
RuleSyntaxError: the class `[ab` is not closed
  where: p.rules:2:25, predict b when token is [ab
  fix:   write `]` after its last token, or \[ for a literal bracket

== a comparison without a number
--- p.rules
vocabulary a b
predict b when position >= many
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'many' is neither a place, nor a number, nor a table followed by `of`
  where: p.rules:2:28, predict b when position >= many
  fix:   expected a whole number, …

== a parenthesis that is not closed
--- p.rules
vocabulary a b
predict b when (token is a
predict a otherwise
$ run p.rules a
RuleSyntaxError: the line's end is not allowed here
  where: p.rules:2:27, predict b when (token is a
  fix:   expected `)`

== a condition about an unknown token
--- p.rules
vocabulary a b
predict b when c came before
predict a otherwise
$ run p.rules a
VocabularyError: the rule names 'c', which is not in the vocabulary
  where: p.rules:2:16, predict b when c came before
  fix:   use one of its 2 tokens: a b

== a condition about several tokens
--- p.rules
vocabulary a b
predict b when token is ab
predict a otherwise
$ run p.rules a
RuleSyntaxError: `ab` is 2 tokens, and one is expected
  where: p.rules:2:25, predict b when token is ab
  fix:   write [ab] for any one of them; for several in a row use `after`

== a condition that no token meets
--- p.rules
vocabulary a b
predict b when token is not [ab]
predict a otherwise
$ run p.rules a
RuleSyntaxError: no token satisfies the condition
  where: p.rules:2:29, predict b when token is not [ab]
  fix:   leave out fewer

== a remainder by 0
--- p.rules
vocabulary a b
predict b when position % 0 == 1
predict a otherwise
$ run p.rules a
DomainError: division by 0
  where: p.rules:2:16, position % 0
  fix:   divide by a number other than 0

== a place that may not exist
--- p.rules
vocabulary a b
predict the token 2 back when token is a
predict a otherwise
$ run p.rules a
RuleSyntaxError: `the token 2 back` may not exist
  where: p.rules:2:9, predict the token 2 back when token is a
  fix:   add a prediction for that case: the token 2 back otherwise TOKEN

== a place that always exists
--- p.rules
vocabulary a b
predict the first token otherwise a
predict a otherwise
$ run p.rules a
RuleSyntaxError: `the first token` always exists
  where: p.rules:2:9, predict the first token otherwise a
  fix:   leave out `otherwise` and the token after it

== a place past the context
--- p.rules
vocabulary a b
context 4
predict the token 4 back otherwise a
predict a otherwise
$ run p.rules a
ProgramError: the rule looks 4 tokens back, but the context has 4
  where: p.rules:3:9, predict the token 4 back otherwise a
  fix:   `context 5`, or a shorter distance

== a place without a number
--- p.rules
vocabulary a b
predict the token back otherwise a
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'back' is not allowed here
  where: p.rules:2:19, predict the token back otherwise a
  fix:   expected a whole number

== another time than the last
--- p.rules
vocabulary a b
predict what followed next time otherwise a
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'next' is not allowed here
  where: p.rules:2:23, predict what followed next time otherwise a
  fix:   expected `last`

== a probability without a token
--- p.rules
vocabulary a b
predict a 1/4 3/4 otherwise
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'otherwise' is not allowed here
  where: p.rules:2:19, predict a 1/4 3/4 otherwise
  fix:   expected a probability

== probabilities that do not sum to 1
--- p.rules
vocabulary a b
predict a 1/4 b 1/4 otherwise
predict a otherwise
$ run p.rules a
ProgramError: the probabilities sum to 1/2, not to 1: 1/4 + 1/4
  where: p.rules:2:1, predict a 1/4 b 1/4 otherwise
  fix:   give 'b' 3/4 in place of 1/4

== a token with two probabilities
--- p.rules
vocabulary a b
predict a 1/4 a 3/4 otherwise
predict a otherwise
$ run p.rules a
RuleSyntaxError: 'a' has two probabilities
  where: p.rules:2:9, predict a 1/4 a 3/4 otherwise
  fix:   give every token one, such as 1/4 or 0.25
"""


@dataclass(frozen=True)
class Case:
    """A wrong input, and what it must print."""

    name: str
    command: str
    message: str
    files: dict[str, str | bytes] = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None


BEGINNINGS = {"RULES": RULES, "PROMPTS": PROMPTS}


def read_table(table: str) -> list[Case]:
    """The cases of a table; see the docstring of this module."""
    cases = []
    for block in re.split(r"^== ", table, flags=re.MULTILINE)[1:]:
        name, rest = block.split("\n", 1)
        setting, printed = re.split(r"^\$ ", rest, maxsplit=1, flags=re.MULTILINE)
        command, message = printed.split("\n", 1)
        message = re.sub(r"^=+ .*", "", message, flags=re.MULTILINE)
        files = {}
        for part in re.split(r"^--- ", setting, flags=re.MULTILINE)[1:]:
            file, text = part.split("\n", 1)
            begin, _, rest = text.partition("\n")
            files[file] = BEGINNINGS[begin] + rest if begin in BEGINNINGS else text
        cases.append(Case(name, command, message.strip(), files))
    return cases


ODD_FILES = [
    Case(
        "a rule with blanks for its pattern",
        "run p.rules a",
        "RuleSyntaxError: the pattern '' has no tokens\n"
        "  where: p.rules:2:19, predict b after\n"
        "  fix:   write `otherwise` in place of `after` to match always",
        {"p.rules": "vocabulary a b\npredict b after   \npredict a otherwise\n"},
    ),
    Case(
        "a context of more digits than Python reads",
        "run p.rules a",
        "…Error: the context …\n  where: p.rules:2:1\n  fix:   …",
        {"p.rules": f"vocabulary a b\ncontext {'9' * 5000}\npredict a otherwise\n"},
    ),
    Case(
        "an empty rules file",
        "run p.rules a",
        "ProgramError: the program has no rules\n  where: p.rules:1:1\n  fix:   …",
        {"p.rules": ""},
    ),
    Case(
        "a rule that breaks off with the file",
        "run p.rules a",
        "RuleSyntaxError: the line's end is not allowed here\n"
        "  where: p.rules:2:8, predict\n"
        "  fix:   expected a word",
        {"p.rules": "predict b after aa\npredict"},
    ),
    Case(
        "an empty Python file",
        "run p.py a",
        "CommandError: p.py contains neither a program nor expressions\n"
        "  where: p.py\n"
        '  fix:   write program = Program(...), circuits = Circuits(...) or outputs = {"name": ...}',
        {"p.py": ""},
    ),
    Case(
        "a Python file with a null byte",
        "run p.py a",
        "CommandError: p.py raised …Error: source code string cannot contain null bytes\n"
        "  where: p.py\n"
        "  fix:   fix the error: the file is run from top to bottom",
        {"p.py": "x = 1\nb = '\0'\n"},
    ),
    Case(
        "a Python file that is not UTF-8",
        "run p.py a",
        "CommandError: p.py cannot be read: 'utf-8' codec can't decode byte 0xff in position 5: "
        "invalid start byte\n  fix:   …",
        {"p.py": b"x = '\xff'\n"},
    ),
    Case(
        "a rules file that is not UTF-8",
        "run p.rules a",
        "CommandError: p.rules cannot be read: 'utf-8' codec can't decode byte 0xff in position 8: "
        "invalid start byte\n  fix:   …",
        {"p.rules": b"predict \xff otherwise\n"},
    ),
    Case(
        "a name of a program that is too long",
        f"run {'x' * 300} a",
        f"CommandError: there is no file and no shipped program '{'x' * 300}'\n"
        "  fix:   shipped programs are: SHIPPED",
    ),
    Case(
        "a name of a program to compile that is too long",
        f"compile {'x' * 300} -o out",
        f"CommandError: there is no file and no shipped program '{'x' * 300}'\n"
        "  fix:   shipped programs are: SHIPPED",
    ),
    Case(
        "a name of an output that is too long",
        f"compile aab -o {'x' * 300}",
        f"CheckpointError: {'x' * 300} cannot be written: File name too long\n"
        f"  where: {'x' * 300}\n  fix:   …",
    ),
]


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def holding(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data)


def truncated(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return cut


def with_tensor(name: str, value: object) -> Callable[[Path], None]:
    """Another array under that name; None leaves it out."""

    def change(folder: Path) -> None:
        with np.load(folder / "model.npz") as archive:
            tensors = {key: archive[key] for key in archive.files if key != name}
        if value is not None:
            tensors[name] = np.asarray(value)
        np.savez(folder / "model.npz", **tensors)

    return change


def replaced(old: str, new: str) -> Callable[[Path], None]:
    """Another text in the record."""

    def change(folder: Path) -> None:
        text = (folder / "handcraft.json").read_text(encoding="utf-8")
        assert old in text
        (folder / "handcraft.json").write_text(text.replace(old, new), encoding="utf-8")

    return change


def allowed(record: str) -> Callable[[Path], None]:
    """Which prompts are allowed, in the record."""
    return replaced('"source": {', f'"source": {{"grammar": {record}, ')


NAN = np.zeros((2, 8), dtype="float32")
NAN[1, 3] = np.nan

COMPILED = "compile --architecture block by_hand -o out --format npz"

DAMAGED = [
    Case(
        "a folder without its record",
        "run out a",
        "CheckpointError: the folder has no handcraft.json\n"
        "  where: out\n"
        "  fix:   name a folder that `handcraft compile` wrote",
        prepare=without("handcraft.json"),
    ),
    Case(
        "a folder without its tensors",
        "run out a",
        "CheckpointError: the folder has neither of model.safetensors, model.npz\n"
        "  where: out\n"
        "  fix:   compile the program again",
        prepare=without("model.npz"),
    ),
    Case(
        "a folder with two files of tensors",
        "run out a",
        "CheckpointError: the folder has model.safetensors and model.npz\n"
        "  where: out\n"
        "  fix:   keep the one that was compiled",
        prepare=holding("model.safetensors", b""),
    ),
    Case(
        "truncated tensors",
        "verify out",
        "CheckpointError: model.npz cannot be read: File is not a zip file\n"
        "  where: out/model.npz\n"
        "  fix:   it is damaged or of another kind; compile the program again",
        prepare=truncated("model.npz"),
    ),
    Case(
        "a foreign file in the place of the tensors",
        "run out a",
        "CheckpointError: model.npz cannot be read: …\n"
        "  where: out/model.npz\n"
        "  fix:   it is damaged or of another kind; compile the program again",
        prepare=holding("model.npz", b"these are no tensors"),
    ),
    Case(
        "a tensor that is missing",
        "run out a",
        "CheckpointError: model.npz lacks wpe.weight\n"
        "  where: out/model.npz\n"
        "  fix:   compile the program again",
        prepare=with_tensor("wpe.weight", None),
    ),
    Case(
        "a tensor that does not belong",
        "run out a",
        "CheckpointError: model.npz has lm_head.weight, which the model does not\n"
        "  where: out/model.npz\n"
        "  fix:   compile the program again",
        prepare=with_tensor("lm_head.weight", np.zeros((2, 8), dtype="float32")),
    ),
    Case(
        "a tensor of the wrong shape",
        "explain out wte.weight 0 0",
        "CheckpointError: wte.weight is [2, 9], and the sizes of the model make it [2, 8]\n"
        "  where: out/model.npz\n"
        "  fix:   compile the program again",
        prepare=with_tensor("wte.weight", np.zeros((2, 9), dtype="float32")),
    ),
    Case(
        "a weight that is not a number",
        "verify out",
        "CheckpointError: wte.weight has nan at [1, 3]\n"
        "  where: out/model.npz\n"
        "  fix:   a weight is a finite number; compile the program again",
        prepare=with_tensor("wte.weight", NAN),
    ),
    Case(
        "tensors of whole numbers",
        "run out a",
        "CheckpointError: the tensors are of type float32 and int64\n"
        "  where: out/model.npz\n"
        "  fix:   all must be float32 or all float64 or all float16 or all bfloat16",
        prepare=with_tensor("wte.weight", np.zeros((2, 8), dtype="int64")),
    ),
    Case(
        "a pickle among the tensors",
        "run out a",
        "CheckpointError: model.npz cannot be read: …\n"
        "  where: out/model.npz\n"
        "  fix:   it is damaged or of another kind; compile the program again",
        prepare=with_tensor("wte.weight", np.array([{}], dtype=object)),
    ),
    Case(
        "a truncated record",
        "run out a",
        "CheckpointError: handcraft.json cannot be read: …\n"
        "  where: out/handcraft.json\n"
        "  fix:   compile the program again",
        prepare=truncated("handcraft.json"),
    ),
    Case(
        "a record of another version",
        "run out a",
        "CheckpointError: handcraft.json is of version 7\n"
        "  where: out/handcraft.json\n"
        "  fix:   this handcraft reads version 2; compile the program again",
        prepare=replaced('"handcraft": 2', '"handcraft": 7'),
    ),
    Case(
        "a record of another architecture",
        "run out a",
        "CheckpointError: handcraft.json contradicts itself: there is no architecture 'gpt5'\n"
        "  where: out/handcraft.json\n"
        "  fix:   …",
        prepare=replaced('"name": "block"', '"name": "gpt5"'),
    ),
    Case(
        "an unknown token in a prompt for a folder",
        "run out abc",
        "VocabularyError: 'c' is not in the vocabulary\n"
        "  where: token 3 of 'abc'\n"
        "  fix:   use one of its 2 tokens: a b",
        prepare=lambda folder: None,
    ),
    Case(
        "a compiled folder to draw as something else",
        "draw out -o out.svg --architecture block",
        "CommandError: out is already compiled, so these do not apply: --architecture block\n"
        "  fix:   leave out the options, or name the program",
        prepare=lambda folder: None,
    ),
    Case(
        "a text to continue for a model without mask",
        "run out a",
        "ModelError: to continue a text needs the causal mask, but this model attends to later "
        "positions\n"
        "  where: the architecture block without mask\n"
        "  fix:   read the answer at every position: model.forward(tokens)",
        prepare=replaced('"causal": true', '"causal": false'),
    ),
    Case(
        "a model without the mask of its circuits",
        "run out a",
        "CheckpointError: handcraft.json gives a causal mask to the circuits, and none to the model\n"
        "  where: out/handcraft.json\n"
        "  fix:   compile the program again",
        prepare=replaced('"causal": true, "score_scale"', '"causal": false, "score_scale"'),
    ),
    Case(
        "circuits without the mask of their model",
        "verify out",
        "CheckpointError: handcraft.json gives a causal mask to the model, and none to the circuits\n"
        "  where: out/handcraft.json\n"
        "  fix:   compile the program again",
        prepare=replaced('"causal": true, "logit_scale"', '"causal": false, "logit_scale"'),
    ),
    Case(
        "a mask that is neither there nor not",
        "verify out",
        "CheckpointError: handcraft.json is malformed: architecture.causal: expected …\n"
        "  where: out/handcraft.json\n"
        "  fix:   compile the program again",
        prepare=replaced('"causal": true, "score_scale"', '"causal": 1, "score_scale"'),
    ),
    Case(
        "allowed prompts that no expression says",
        "run out a",
        "CheckpointError: handcraft.json contradicts itself: inputs: '[ab' is not a regular …\n"
        "  where: out/handcraft.json\n"
        "  fix:   compile the program again",
        prepare=allowed('{"inputs": "[ab"}'),
    ),
    Case(
        "allowed prompts that repeat something without end",
        "run out a",
        "CheckpointError: handcraft.json contradicts itself: inputs: '(?:a*){99…}' repeats …\n"
        "  where: out/handcraft.json\n"
        "  fix:   compile the program again",
        prepare=allowed(f'{{"inputs": "(?:a*){{{"9" * 30}}}"}}'),
    ),
    Case(
        "allowed prompts in another form",
        "run out a",
        "CheckpointError: handcraft.json is malformed: source.grammar.writes: expected a …\n"
        "  where: out/handcraft.json\n"
        "  fix:   compile the program again",
        prepare=allowed('{"inputs": "[ab]", "writes": "2"}'),
    ),
    Case(
        "a prompt that the record of allowed ones refuses",
        "run out ba",
        "PromptError: 'b' is not allowed here; expected 'a'\n"
        "  where: token 1 of 'ba'\n"
        "  fix:   allowed prompts match a[ab]*, for example 'a'; --regardless answers any prompt",
        prepare=allowed('{"inputs": "a[ab]*"}'),
    ),
]

CASES = [*read_table(TABLE), *ODD_FILES, *DAMAGED]


def expected(message: str) -> re.Pattern[str]:
    message = message.replace("SHIPPED", ", ".join(shipped_programs()))
    message = message.replace("ARCHITECTURES", ", ".join(a.name for a in ARCHITECTURES))
    return re.compile(".*".join(map(re.escape, message.split("…"))))


def everything_in(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def handcraft(tmp_path, monkeypatch, capsys):
    """Run a command line in tmp_path: its exit status, what it printed, and its errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)

    def run(command: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["handcraft", *shlex.split(command)])
        capsys.readouterr()
        status: object = 0
        try:
            main()
        except SystemExit as stopped:
            status = stopped.code or 0
        return status, *capsys.readouterr()

    yield run
    for name in set(sys.modules) - known:
        if name.endswith("_beside_p"):
            del sys.modules[name]


def write(files: dict[str, str | bytes], folder: Path) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_reported_in_three_parts_and_nothing_is_written(case, tmp_path, handcraft):
    write(case.files, tmp_path)
    if case.prepare is not None:
        assert handcraft(COMPILED)[0] == 0
        case.prepare(tmp_path / "out")
    before = everything_in(tmp_path)
    status, out, err = handcraft(case.command)
    printed = "\n".join(line.rstrip() for line in err.splitlines())
    if "  where:" in printed and "  where:" not in case.message:  # then it is the command itself
        printed = re.sub(r"\n  where: (the command handcraft .*|\S+)", "", printed)
    assert expected(case.message).fullmatch(printed), f"{printed}\n\nis not\n\n{case.message}"
    assert status == 2
    assert out == ""
    assert everything_in(tmp_path) == before


def test_no_case_is_there_twice():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) > 100


WARNED = {
    "a rule after one that matches wherever it does": (
        "predict a after a\npredict b after ba\npredict b otherwise\n",
        "warning: predict b after ba (p.rules:4:1) can never fire: "
        "predict a after a (p.rules:3:1) comes first\n",
    ),
    "a rule after otherwise": (
        "predict b otherwise\npredict a after a\n",
        "warning: predict a after a (p.rules:4:1) can never fire: "
        "predict b otherwise (p.rules:3:1) comes first\n",
    ),
    "a rule said twice": (
        "predict a after a\npredict b after a\npredict b otherwise\n",
        "warning: predict b after a (p.rules:4:1) can never fire: "
        "predict a after a (p.rules:3:1) comes first\n",
    ),
    "a rule that two others hide together": (
        "predict a after aa\npredict a after ba\npredict b after .a\npredict b otherwise\n",
        "warning: predict b after .a (p.rules:5:1) can never fire: "
        "predict a after aa (p.rules:3:1) and predict a after ba (p.rules:4:1) come first\n",
    ),
    "two hidden rules": (
        "predict a after a\npredict b after aa\npredict b after ba\npredict b otherwise\n",
        "warning: predict b after aa (p.rules:4:1) can never fire: "
        "predict a after a (p.rules:3:1) comes first\n"
        "warning: predict b after ba (p.rules:5:1) can never fire: "
        "predict a after a (p.rules:3:1) comes first\n",
    ),
    "an otherwise that nothing is left for": (
        "predict a after a\npredict b after b\npredict b otherwise\n",
        "warning: predict b otherwise (p.rules:5:1) can never fire: "
        "predict a after a (p.rules:3:1) and predict b after b (p.rules:4:1) come first\n",
    ),
}


@pytest.mark.parametrize(("rules", "warning"), WARNED.values(), ids=WARNED.keys())
def test_a_rule_that_can_never_fire_is_warned_of_and_the_rest_goes_on(
    rules, warning, tmp_path, handcraft
):
    (tmp_path / "p.rules").write_text(f"vocabulary a b\ncontext 4\n{rules}")
    status, out, err = handcraft("run p.rules a -n 1")
    assert (status, err) == (0, warning)
    assert out.startswith("a :: ")


def test_a_program_in_python_is_warned_of_at_its_line(tmp_path, handcraft):
    (tmp_path / "p.py").write_text(
        "from handcraft import Program, predict\n"
        'hides = predict("a").after("a")\n'
        'hidden = predict("b").after("ba")\n'
        'program = Program("ab", 3, [hides, hidden, predict("b").otherwise()])\n'
    )
    status, _, err = handcraft("compile p.py -o out")
    assert status == 0
    assert err == (
        "warning: predict b after ba (p.py:3:10) can never fire: predict a after a (p.py:2:9) "
        "comes first\n"
    )
