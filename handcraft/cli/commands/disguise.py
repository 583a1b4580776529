"""`handcraft disguise`: make a model look like a trained one, without changing an answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from handcraft.cli.input.options import DTYPE, Json
from handcraft.cli.output.printing import print_json
from handcraft.cli.output.progress_bar import shown_progress
from handcraft.errors import CommandError

if TYPE_CHECKING:
    from handcraft.disguise.draft import Transform

EXAMPLES = (
    "handcraft disguise aab/ -o disguised/ --rotate",
    "handcraft disguise aab/ -o disguised/ --split 2 --distractors 8 --permute --rotate --seed 1",
)

FOLDER_HELP = "A folder that `handcraft compile` wrote, or any GPT-2 in safetensors."
NOISE_HELP = "Noise: this part, up to 1, of the radius that `handcraft prove --radius` proves."
RADIUS_HELP = "The radius of the noise, in place of a proved one."
SUPERPOSE_HELP = "Superposition: keep the stream in so many dimensions."
SPLIT_HELP = "Split every head and hidden unit into so many that sum to it."
DISTRACTORS_HELP = "Add a distractor head and so many distractor units to each block."
FILL_HELP = "Make every unused head and hidden unit a distractor."
WRITE_HELP = "What distractors write: mean, which LayerNorm removes, or pairs, which cancel."
MATCH_HELP = "Move the sizes of weights this part of the way to GPT-2's, up to 1."
UNTIE_HELP = "Let the unembedding become a tensor of its own."


def disguise(
    folder: Annotated[str, typer.Argument(help=FOLDER_HELP, show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
    noise: Annotated[float | None, typer.Option(help=NOISE_HELP, show_default=False)] = None,
    radius: Annotated[float | None, typer.Option(help=RADIUS_HELP, show_default=False)] = None,
    superpose: Annotated[int | None, typer.Option(help=SUPERPOSE_HELP, show_default=False)] = None,
    like: Annotated[
        str | None,
        typer.Option(help="Pad to the sizes of this GPT-2: gpt2-small, ...", show_default=False),
    ] = None,
    n_embd: Annotated[int | None, typer.Option(help="Pad to this width.", show_default=False)] = None,
    n_head: Annotated[
        int | None, typer.Option(help="Pad to so many heads.", show_default=False)
    ] = None,
    n_layer: Annotated[
        int | None, typer.Option(help="Pad to so many blocks.", show_default=False)
    ] = None,
    split: Annotated[int | None, typer.Option(help=SPLIT_HELP, show_default=False)] = None,
    distractors: Annotated[int | None, typer.Option(help=DISTRACTORS_HELP, show_default=False)] = None,
    fill: Annotated[bool, typer.Option("--fill", help=FILL_HELP)] = False,
    distractors_write: Annotated[str | None, typer.Option(help=WRITE_HELP, show_default="mean")] = None,
    permute: Annotated[bool, typer.Option("--permute", help="Permute heads and hidden units.")] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Rotate the residual stream.")] = False,
    match: Annotated[float | None, typer.Option(help=MATCH_HELP, show_default=False)] = None,
    untie: Annotated[bool, typer.Option("--untie", help=UNTIE_HELP)] = False,
    dtype: Annotated[str | None, DTYPE] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    json_: Json = False,
) -> None:
    """Make a model look like a trained one, without changing an answer.

    Transforms are applied in the order of these options, and weights rounded once.
    Then the result is run against the meaning of the program: every context where
    there are few, else a sample. If an answer would change, nothing is written.
    disguise.json and disguise.safetensors say where every head, hidden unit and
    direction of the original went.
    """
    from handcraft.disguise import Distract, Match, Noise, Pad, Permute, Rotate, Split, Superpose
    from handcraft.disguise import disguise as disguised
    from handcraft.disguise.transforms.distract import Writes
    from handcraft.disguise.write_folder import statistics_table, verdict
    from handcraft.formats import check_target

    def chosen() -> Iterator[Transform]:
        if noise is not None:
            yield Noise(noise, radius)
        if superpose is not None:
            yield Superpose(superpose)
        sizes: dict[str, Any] = {"n_embd": n_embd, "n_head": n_head, "n_layer": n_layer}
        given = {name: size for name, size in sizes.items() if size is not None}
        if like is not None and given:
            raise CommandError(
                "--like names all sizes, and others are given too", fix="leave one of them out"
            )
        if like is not None or given:
            yield Pad(**given) if like is None else Pad.like(like)
        if split is not None:
            yield Split(split, split)
        writes = cast(Writes, distractors_write or "mean")
        if distractors is not None:
            yield Distract(2 if writes == "pairs" else 1, distractors, writes)
        if fill:
            yield Distract(None, None, writes)
        if permute:
            yield Permute()
        if rotate:
            yield Rotate()
        if match is not None:
            yield Match(match)

    transforms = [*chosen()]
    if not transforms:
        raise CommandError("no transform is named", fix="name at least one, such as --rotate")
    if radius is not None and noise is None:
        raise CommandError("--radius is about noise", fix="give --noise too, such as --noise 0.5")
    if distractors_write is not None and distractors is None and not fill:
        raise CommandError(
            "--distractors-write is about distractors", fix="give --distractors 8 or --fill too"
        )
    if output.exists() and Path(folder).exists() and output.samefile(folder):
        raise CommandError(
            f"the disguise would replace {folder}, which it is made from",
            where=output,
            fix="name another folder by -o",
        )
    check_target(output)
    with shown_progress():
        made = disguised(folder, transforms, seed=seed, dtype=dtype, untie=untie)
        made.save(output)
    names = sorted(path.name for path in output.iterdir())
    known = _known(output)
    if json_:
        print_json(
            {
                "folder": str(output),
                "files": names,
                "steps": [step.transform for step in made.record.steps],
                **made.record.judged,
                "measured": made.measured,
                "proof": None if known is None else known.verdict,
            }
        )
        return
    print(f"wrote {output}/: {', '.join(names)}")
    print(verdict(made, known))
    for what, number in made.measured.items():
        print(f"{what}: {number:.3g}")
    print(statistics_table(made.original.model, made.model))


def _known(folder: Path) -> Any:
    """What was proved of a folder that was just written."""
    from handcraft.formats import is_checkpoint, read_checkpoint

    return read_checkpoint(folder).manifest.proof if is_checkpoint(folder) else None
