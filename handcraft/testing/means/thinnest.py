"""The smallest logit margin of a model, right or wrong, and its prompt."""

from __future__ import annotations

from handcraft.errors import HandcraftError, PromptError
from handcraft.testing.means.assertion import check_fits, subject_and_meaning, try_all
from handcraft.testing.means.found import Margin
from handcraft.testing.means.meaning import Reads
from handcraft.testing.means.tally import Tally
from handcraft.testing.means.thinner import hunt
from handcraft.testing.means.trials import Given, trials_of
from handcraft.testing.means.trying import Trying
from handcraft.testing.models.as_model import Tokens
from handcraft.testing.profiles import profile


def thinnest_margin(
    model: object,
    meaning: object,
    prompts: Given = None,
    *,
    vocabulary: Tokens | None = None,
    longest: int | None = None,
    reads: Reads = "text",
    examples: int | None = None,
    seed: int = 0,
) -> Margin:
    """The answer with the smallest logit margin: nearest to wrong, or wrong by the most.

    If there are few prompts, all are tried. Otherwise some are, and then others that are similar to
    those with the smallest margins.

    Args:
        model: anything that `as_model` takes.
        meaning: what it should answer, as for `assert_means`.
        prompts: which prompts to try, as for `assert_means`; not a strategy.
        vocabulary: the tokens of the model, if the model does not state them.
        longest: the most tokens of a prompt.
        reads: whether a function is called with a text or with a list of tokens.
        examples: how many prompts Hypothesis makes; the default is the profile's.
        seed: the seed of the random prompts.

    Returns:
        The answer; its `margin` is negative where it is wrong.

    Raises:
        AnswerError: the model raised an error, or its answer is no logits.
        PromptError: no prompt is allowed.
    """
    __tracebackhide__ = True
    chosen = profile()
    try:
        subject, meant = subject_and_meaning(model, meaning, vocabulary, reads)
        trials = trials_of(
            prompts,
            meant,
            longest=longest,
            model=subject.model,
            every_up_to=chosen.every_up_to,
            sample=chosen.sample,
            seed=seed,
        )
        check_fits(subject, trials)
        tally = Tally(Trying(subject, meant))
        try_all(tally, trials)
        if not tally.thinnest:
            raise PromptError(
                "no prompt was tried", fix="allow some prompts, and say what is meant after them"
            )
        if not trials.is_all:
            made = chosen.examples if examples is None else examples
            hunt(tally, trials, examples=made, seed=seed)
    except HandcraftError as error:  # from here: our own frames say nothing to the reader
        raise error.with_traceback(None) from error.__cause__
    return tally.thinnest[0][2]
