"""Grammar: continue a sentence with words that fit: `the cat sat on` goes on with `the mat`.

One head finds the place in the sentence: it attends to the last preposition or full stop, and a noun
after a preposition ends the sentence. Another attends to the last noun, and a third finds whether there
is one: where a noun may follow, the next one of the list is written. Everything else is a table from
one word to the next, and needs no head.
"""

from handcraft import Program, Prompts, predict, select

NOUNS = ["cat", "mat", "dog", "log", "bird", "tree"]
VERBS = {"cat": "sat", "mat": "lay", "dog": "slept", "log": "lay", "bird": "sang", "tree": "stood"}
PREPOSITIONS = {"sat": "on", "lay": "under", "slept": "by", "sang": "in", "stood": "by"}
ARTICLES = {"on": "the", "under": "the", "by": "the", "in": "the", ".": "the"}

PHRASE = f"(the|a)( old| small)? ({'|'.join(NOUNS)})"
VERB, PREPOSITION = f"({'|'.join(PREPOSITIONS)})", "(on|under|by|in)"
BEGINNING = f"(the|a)( old| small)?|{PHRASE}( {VERB}( {PREPOSITION}( the| a| {PHRASE}( [.])?)?)?)?"

prompts = Prompts(
    [*NOUNS, *PREPOSITIONS, *ARTICLES, "the", "a", "old", "small"],
    context=20,
    inputs=f"({PHRASE} {VERB} {PREPOSITION} {PHRASE} [.] )*({BEGINNING})",
)
token = prompts.token

is_noun = token.map(lambda word: word in NOUNS)
is_mark = token.map(lambda word: word in ARTICLES)
is_object = select(is_mark, True).latest(token != ".", default=False)

next_noun = token.map(dict(zip(NOUNS, [*NOUNS[1:], NOUNS[0]], strict=True)), default=NOUNS[0])
noun = select(is_noun, True).latest(next_noun, default=NOUNS[0])

program = Program(
    prompts=prompts,
    rules=[
        predict(noun).after("[the a old small]"),
        predict(".").when(is_noun & is_object),
        predict(token.map({**VERBS, **PREPOSITIONS, **ARTICLES}, default="the")).otherwise(),
    ],
)

starts = BEGINNING
"""Beginnings of a sentence: up to the subject, the verb, the preposition, the object, the full stop."""


def meaning(prompt: str) -> str:
    """The rest of the sentence, or the next one: what comes depends on how many words it has."""
    words = prompt.split()
    written: list[str] = []
    while written[-1:] != ["."]:
        text = [*words, *written]
        sentence = " ".join(text).rpartition(".")[2].split()
        size = len([word for word in sentence if word not in ("old", "small")])
        if size in (0, 4):
            written.append("the")
        elif size in (1, 5):
            nouns = [word for word in text if word in NOUNS]
            written.append(NOUNS[(NOUNS.index(nouns[-1]) + 1) % len(NOUNS)] if nouns else NOUNS[0])
        else:
            written.append({2: VERBS, 3: PREPOSITIONS}[size][text[-1]] if size < 6 else ".")
    return " ".join(written)
