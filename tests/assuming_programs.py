"""Programs that make assumptions of which some texts break one."""

from __future__ import annotations

import warnings

from hypothesis import strategies as st

from handcraft import Program, predict, select, where
from handcraft.errors import HandcraftWarning
from handcraft.testing import declared_prompts, expressions


@st.composite
def assuming_programs(draw):
    """Programs that some texts break: values that are assumed away, at this position and at others."""
    prompts = draw(declared_prompts(max_context=5, causal=draw(st.booleans())))
    token, position = prompts.token, prompts.position
    number = draw(expressions(prompts, depth=2, kind="number"))
    values = number.domain.values
    kept = draw(st.lists(st.sampled_from(values), min_size=1, unique=True))
    assumed = number.assume(kept)
    few = assumed.map(dict.fromkeys(kept, 1))  # a table with holes, if it were not for the assumption
    seen = select(token, token).latest(where(assumed >= kept[0], 1, 0) + few)
    flag = draw(st.sampled_from([few + position >= 2, seen >= 2, select(assumed, kept[0]).exists()]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        rules = [predict("b").when(flag), predict("a").otherwise()]
        return Program(prompts=prompts, rules=rules)
