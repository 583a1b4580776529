"""Methods of compiled results: explain, save, ground truth, draw.

They call packages above this one, which a method imports when it is called. import-linter lists these
imports as the only ones that go up.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from handcraft.circuits import Circuits
from handcraft.model import Model
from handcraft.subject import Subject
from handcraft.weights import Placement, Plan, Weight, Weights, axis_names, stored_values

if TYPE_CHECKING:
    import anywidget

    from handcraft.draw import Detail, Picture, What
    from handcraft.explain import Explanation
    from handcraft.ground_truth import Written
    from handcraft.page import Page


class Actions(ABC):
    """The methods that `Compiled` and `CompiledSequences` share."""

    plan: Plan
    placement: Placement
    model: Model

    @property
    def circuits(self) -> Circuits:
        """Heads and neurons over named subspaces."""
        return self.plan.circuits

    @property
    def weights(self) -> Weights:
        """Every weight explained: what its row and its column stand for, and the rules it serves."""
        origins = {name: placed.origins for name, placed in self.placement.tensors.items()}
        return Weights(self.model, axis_names(self.plan), origins, self._rules)

    @property
    def _rules(self) -> tuple[str, ...]:
        """The rules in order, as they are written; none where there are only expressions."""
        return ()

    @overload
    def explain(self, prompt: str | Sequence[str], /) -> Explanation: ...

    @overload
    def explain(self, tensor: str, /, *index: int) -> Weight: ...

    def explain(self, what: str | Sequence[str], /, *index: int) -> Explanation | Weight:
        """Why the model answers what it answers on a prompt; or what one weight stands for.

        Args:
            what: a prompt, as text or as tokens; or the name of a tensor, such as
                ``h.0.attn.c_attn.weight``, and then
            index: row and column, or the place in a bias.

        Raises:
            VocabularyError: the prompt has an unknown token.
            ModelError: the prompt is empty or too long; or there is no such tensor, or no such place.

        >>> from handcraft import Program, compile_program, predict
        >>> aab = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
        >>> compiled = compile_program(aab, architecture="block")
        >>> compiled.explain("aa")
        <explanation of 'aa': 'b', margin 127>
        >>> print(compiled.explain("h.0.mlp.c_proj.weight", 0, 1))
        weight: h.0.mlp.c_proj.weight[0, 1]
        value: 256.0
        row: 0, hidden unit: predict b after aa, 1
        column: 1, token b
        serves: predict b after aa ...
        """
        if index or (isinstance(what, str) and what in self.model.tensors):
            return self.weights.weight(what, index)  # type: ignore[arg-type]
        from handcraft.explain import explain_prediction

        return explain_prediction(self.subject, what)

    def save(
        self,
        folder: str | Path,
        *,
        format: str | None = None,
        like: str | None = None,
        token_ids: Mapping[str, int] | None = None,
    ) -> Path:
        """Write the model to a folder, completely or not at all; as `handcraft.save`.

        Args:
            folder: must be missing, empty, or an earlier output, which is then replaced.
            format: one of `handcraft.formats.FORMATS`; by default what the architecture suggests.
            like: the published GPT-2 whose shape to fill.
            token_ids: ids for tokens in that shape.

        Raises:
            HandcraftError: the folder or the format is unsuitable, or an answer is wrong.
        """
        from handcraft.formats import save

        return save(self, folder, format=format, like=like, token_ids=token_ids)  # type: ignore[arg-type]

    def ground_truth(
        self,
        folder: str | Path,
        *,
        what: Sequence[str] | None = None,
        examples: int = 256,
        seed: int = 0,
    ) -> Written:
        """Write what is true of the model, to judge interpretability tools with.

        Args:
            folder: must be missing, empty, or an earlier output, which is then replaced.
            what: which parts, such as ``circuit``; left out, all that the model has.
            examples: about how many prompts are tried where not all can be.
            seed: of what is drawn.

        Raises:
            GroundTruthError: a part is unknown, or the model has no such ground truth.
            CheckpointError: the folder contains something else, or cannot be written.
        """
        from handcraft.ground_truth import Wanted, of_compiled, write_ground_truth

        subject = of_compiled(self)  # type: ignore[arg-type]
        return write_ground_truth(subject, folder, what=what, wanted=Wanted(examples, seed))

    def draw(
        self,
        file: str | Path | None = None,
        *,
        what: What | None = None,
        prompt: str | Sequence[str] | None = None,
        rule: int | str | None = None,
        tensor: str | None = None,
        detail: Detail | None = None,
    ) -> Picture:
        """A picture, which notebooks show.

        Args:
            file: an .svg or .png file to write, or a .dot file of the circuit; left out, nothing is
                written.
            what: ``program``, ``circuit``, ``run``, ``attention``, ``weights``, ``stream`` or
                ``positions``; left out, ``weights`` with a tensor, ``run`` with a prompt, and
                otherwise ``circuit``.
            prompt: for ``run``, ``attention`` and ``stream``.
            rule: only what serves one rule: its number, its text, or a part of it.
            tensor: for ``weights``, only this one.
            detail: of a circuit: ``program``, ``circuit`` or ``weights``, from coarse to fine; left
                out, ``circuit``. Of a program, ``weights`` gives every rule and every value a box.

        Returns:
            The picture; its `svg` is text, its `png` bytes.

        Raises:
            DrawError: it cannot be drawn, the file is of another kind, or the kind of picture does not
                use an option that is given.
            ModelError: there is no such rule.
            CheckpointError: the file cannot be written.
        """
        from handcraft.draw import chosen_kind, draw_picture

        kind = chosen_kind(what, prompt=prompt, rule=rule, tensor=tensor, detail=detail) or "circuit"
        known = None if rule is None else self.weights.rule(rule)
        picture = draw_picture(
            self.subject,
            kind,
            prompt=prompt,
            rule=known,
            tensor=tensor,
            detail=detail or "circuit",
        )
        if file is not None:
            from handcraft.formats import write_file

            write_file(Path(file), picture.contents(Path(file)))
        return picture

    def page(self, file: str | Path | None = None, *, prompt: str = "") -> Page:
        """A page that runs the model in the browser and explains its numbers, as one HTML file.

        Args:
            file: an .html file to write; left out, nothing is written.
            prompt: the prompt to begin with.

        Returns:
            The text of the page: a `str` that notebooks show as its size.

        Raises:
            LimitError: the model has more weights than a page may have.
            CheckpointError: the file is not an .html file, or cannot be written.
        """
        from handcraft.page import of_compiled, write_page

        return write_page(of_compiled(self).with_example(prompt), file)  # type: ignore[arg-type]

    def widget(self, *, prompt: str = "") -> anywidget.AnyWidget:
        """The same page in a notebook, by anywidget: `pip install handcraft[notebook]`.

        Args:
            prompt: the prompt to begin with.

        Raises:
            LimitError: the model has more weights than a page may have.
            ModelError: anywidget is not installed.
        """
        from handcraft.page import widget

        return widget(self, prompt)  # type: ignore[arg-type]

    @property
    def subject(self) -> Subject:
        """All that is known of the model."""
        return Subject(
            "model",
            circuits=self.circuits,
            model=self.model,
            weights=self.weights,
            stored=stored_values(self.plan),
        )

    def _repr_svg_(self) -> str:
        """The circuit, for notebooks."""
        return self.draw().svg
