"""Engines that fail in every way: they crash, hang, raise errors, or answer nonsense."""

import os
import time

import numpy as np


class Zeros:
    """Logits that are all 0, of the right number."""

    def __init__(self, folder, dtype):
        self.n_vocab = 1025 if folder.parent.name in ("position", "recall") else 33

    def next_logits(self, ids):
        return np.zeros(self.n_vocab)


class Crashes(Zeros):
    """Its process ends after a few answers."""

    def next_logits(self, ids):
        if len(ids) > 16:
            print("out of pages", flush=True)
            os._exit(7)
        return super().next_logits(ids)


class Killed(Zeros):
    """Its process gets a signal."""

    def next_logits(self, ids):
        os.kill(os.getpid(), 9)


class Hangs(Zeros):
    """It gives no answer to long prompts."""

    def next_logits(self, ids):
        if len(ids) > 16:
            time.sleep(1000)
        return super().next_logits(ids)


class Raises(Zeros):
    """It raises an error."""

    def next_logits(self, ids):
        raise RuntimeError("no kernel for this\nand more lines")


class TooFew(Zeros):
    """One logit is missing."""

    def next_logits(self, ids):
        return super().next_logits(ids)[:-1]


class NotNumbers(Zeros):
    """A logit is not a number."""

    def next_logits(self, ids):
        return np.full(self.n_vocab, np.nan)


class Nothing(Zeros):
    """It answers nothing."""

    def next_logits(self, ids):
        return None


class CannotLoad:
    """It loads one model only."""

    def __init__(self, folder, dtype):
        if folder.parent.name != "hops":
            raise ValueError("unknown architecture: gpt2")

    def next_logits(self, ids):
        return np.zeros(33)


class Other:
    """Ids that no token has, and texts that end early or go on."""

    def __init__(self, folder, dtype):
        pass

    def generate(self, prompts, new_tokens, end):
        if end is not None:
            return [[*range(12)] for _ in prompts]
        return [[10**6] for _ in prompts] if len(prompts) > 1 else [[] for _ in prompts]
