"""Write rules; get a GPT-2 checkpoint whose every weight you can explain."""

from handcraft.compiler import Compiled, compile_program
from handcraft.language import Program, parse_rules, predict
from handcraft.model import Model, complete, generate
from handcraft.vocabulary import Vocabulary

__all__ = [
    "Compiled",
    "Model",
    "Program",
    "Vocabulary",
    "compile_program",
    "complete",
    "generate",
    "parse_rules",
    "predict",
]
