"""The commands. Exit status: 0 fine, 1 a check failed, 2 the input was wrong."""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from handcraft.cli.example_prompt import example_prompt
from handcraft.cli.sources import (
    check_length,
    load_model,
    load_source,
    read_token_ids,
    shipped_programs,
    shipped_sizes,
    summary,
)
from handcraft.compiler import PASSES, compile_program
from handcraft.errors import CommandError, HandcraftError, HandcraftWarning, PromptError
from handcraft.formats import FORMATS, check_target, fill, read_checkpoint, save, write_file
from handcraft.language import Program
from handcraft.model import complete, published_shape
from handcraft.weights import Sizes

app = typer.Typer(
    name="handcraft",
    help="Write rules; get a GPT-2 checkpoint whose every weight you can explain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
Named = Annotated[str, typer.Argument(help="A .py or .rules file, or a shipped program.")]
NamedOrFolder = Annotated[
    str, typer.Argument(help="A .py or .rules file, a shipped program, or a compiled folder.")
]
Rules = Annotated[
    list[str] | None,
    typer.Option("-e", "--rule", help="A line of rules in place of a program; may be repeated."),
]
POSITIONS = typer.Option(help="How positions are held: auto, one-hot, binary or sinusoidal.")
Positions = Annotated[str, POSITIONS]
ARCHITECTURE = typer.Option(help="The target architecture: gpt2 or block.")
DTYPE = typer.Option(help="The type of the weights: float32, float64, float16, bfloat16.")


N_HELP = "How many tokens to add: by default 10, or all that are promised after a legal prompt."
REGARDLESS_HELP = "Answer prompts that are not legal too, and go on where nothing is promised."


@app.command(
    epilog="Examples:\n\n"
    "  handcraft run programs/aab.py aab\n\n"
    '  handcraft run -e "predict b after aa" aab\n\n'
    "  handcraft run aab/ aab -n 20",
    no_args_is_help=True,
)
def run(
    arguments: Annotated[
        list[str], typer.Argument(metavar="PROGRAM_OR_DIR TEXT", help="A program and a prompt.")
    ],
    rule: Rules = None,
    n: Annotated[int | None, typer.Option("-n", min=0, help=N_HELP, show_default=False)] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the best token.")] = 0.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="Sample among so many.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes sampling repeatable.")] = None,
    regardless: Annotated[bool, typer.Option("--regardless", help=REGARDLESS_HELP)] = False,
    json_: Json = False,
) -> None:
    """Continue a prompt.

    With -e the program is left out: the rules stand in for it.
    Where a program says which prompts are legal, no other is answered,
    and the answer ends where nothing more is promised.
    """
    wanted = 1 if rule else 2
    if len(arguments) != wanted:
        raise _wrong_count(arguments, is_rule=bool(rule))
    name, text = (None, arguments[0]) if rule else (arguments[0], arguments[1])
    loaded = load_model(name, rule or [])
    if loaded.note:
        _note(loaded.note)
    prompts = None if regardless else loaded.known_prompts
    try:
        answer = complete(
            loaded.model, text, n, temperature=temperature, top_k=top_k, seed=seed, prompts=prompts
        )
    except PromptError as error:
        error.fix = f"{error.fix}; --regardless answers any prompt"
        raise
    added = len(loaded.model.vocabulary.split(answer))
    if n is not None and added < n:
        _note(f"nothing is promised after {added} of {n} tokens; --regardless goes on")
    if json_:
        _print_json({"prompt": text, "completion": answer, "tokens": added})
    else:
        print(f"{text} :: {answer}")


def _wrong_count(arguments: list[str], *, is_rule: bool) -> CommandError:
    expected = "TEXT" if is_rule else "PROGRAM_OR_DIR TEXT"
    example = example_prompt(arguments[0]) if len(arguments) == 1 and not is_rule else None
    if example is None:
        fix = f"give {expected}; quote a text with blanks"
    else:
        fix = f"give {expected}, as in {shlex.join(['handcraft', 'run', arguments[0], example])}"
    return CommandError(f"{_count(len(arguments), 'argument')}: {' '.join(arguments)}", fix=fix)


OPTIMIZE_HELP = "Hold an answer that is a number along a line, and leave out all that this forgives."
PASSES_HELP = f"Only some passes of --optimize, as in ordinal,merge. Known are: {', '.join(PASSES)}."
FORMAT_HELP = f"One of: {', '.join(FORMATS)}. By default huggingface, for block safetensors."


@app.command(
    "compile",
    epilog="Examples:\n\n"
    "  handcraft compile programs/aab.py -o aab/\n\n"
    "  handcraft compile by_hand -o by_hand/ --format npz",
)
def compile_(
    program: Named,
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
    architecture: Annotated[str, ARCHITECTURE] = "gpt2",
    dtype: Annotated[str, DTYPE] = "float32",
    format: Annotated[str | None, typer.Option(help=FORMAT_HELP)] = None,
    positions: Positions = "auto",
    n_positions: Annotated[int | None, typer.Option(min=1, help="Positions of the model.")] = None,
    n_embd: Annotated[int | None, typer.Option(min=1, help="Width of the residual stream.")] = None,
    n_head: Annotated[int | None, typer.Option(min=1, help="Heads in each block.")] = None,
    head_dim: Annotated[int | None, typer.Option(min=1, help="Width of a head.")] = None,
    like: Annotated[
        str | None,
        typer.Option(help="Fill the shape of gpt2-small, gpt2-medium, gpt2-large or gpt2-xl."),
    ] = None,
    token_ids: Annotated[
        str | None, typer.Option(help="Ids of tokens in that shape, as in a=64,b=65.")
    ] = None,
    reuse: Annotated[
        bool, typer.Option("--reuse/--no-reuse", help="Clear dead dimensions and use them again.")
    ] = True,
    optimize: Annotated[bool, typer.Option("--optimize", help=OPTIMIZE_HELP)] = False,
    passes: Annotated[str | None, typer.Option(help=PASSES_HELP, show_default=False)] = None,
    tokens: Annotated[
        str, typer.Option(help="How rules hold tokens: auto, one-hot or binary.")
    ] = "auto",
    report_: Annotated[
        bool, typer.Option("--report", help="Say what every block holds, and what each pass saved.")
    ] = False,
    json_: Json = False,
) -> None:
    """Compile a program to weight files."""
    check_target(output)
    source = load_source(program)
    check_length(source, published_shape(like).n_positions if like else n_positions)
    compiled = compile_program(
        source,
        architecture=architecture,
        dtype=dtype,
        positions=positions,
        n_positions=n_positions,
        sizes=Sizes(n_embd=n_embd, n_head=n_head, head_dim=head_dim),
        like=like,
        tokens=tokens,
        reuse=reuse,
        optimize=passes.split(",") if passes is not None else optimize,
    )
    ids = None if token_ids is None else read_token_ids(token_ids)
    folder = save(compiled, output, format=format, like=like, token_ids=ids)
    model = fill(compiled, like, ids) if like else compiled.model
    neurons = sum(len(block.neurons) for block in compiled.circuits.blocks)
    heads = sum(len(block.heads) for block in compiled.circuits.blocks)
    report = {
        "folder": str(folder),
        "files": sorted(path.name for path in folder.iterdir()),
        "architecture": model.architecture.name,
        "dtype": model.dtype.name,
        "rules": len(source.rules) if isinstance(source, Program) else None,
        "blocks": model.shape.n_layer,
        "heads": heads,
        "neurons": neurons,
        "width": model.shape.n_embd,
        "parameters": model.parameters,
        "nonzero": model.nonzero_parameters,
    }
    made = compiled.report()
    if json_:
        _print_json({**report, "report": asdict(made)} if report_ else report)
        return
    print(f"wrote {folder}/: {', '.join(report['files'])}")  # type: ignore[arg-type]
    print(
        f"{model.architecture.name}, {model.dtype.name}: {_count(model.shape.n_layer, 'block')}, "
        f"{_count(heads, 'head')}, {_count(neurons, 'neuron')}, width {model.shape.n_embd}; "
        f"{model.parameters:,} parameters, {model.nonzero_parameters:,} of them not 0"
    )
    if report_:
        print(made)
    elif made.passes:
        print(made.optimized)


SAMPLE_HELP = (
    "Random contexts, where there are too many for all: by default 100,000, or 10,000 legal prompts."
)


@app.command(epilog="Examples:\n\n  handcraft verify programs/aab.py\n\n  handcraft verify aab/ --json")
def verify(
    program: NamedOrFolder,
    architecture: Annotated[str | None, ARCHITECTURE] = None,
    dtype: Annotated[str | None, DTYPE] = None,
    positions: Annotated[str | None, POSITIONS] = None,
    sample: Annotated[int | None, typer.Option(min=1, help=SAMPLE_HELP, show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    json_: Json = False,
) -> None:
    """Try every context, up to 10 million, else a random sample.

    Where only some prompts are legal: all of those, up to 200,000, else a sample.
    Compares what the model answers with what the program means. Exits with 1 on any failure.
    """
    from handcraft.cli.report import print_report, progress_bar
    from handcraft.verify import verify as run_verify

    loaded = load_model(program, [], architecture=architecture, dtype=dtype, positions=positions)
    if loaded.source is None:
        raise CommandError(
            f"{program} does not say what its model should answer",
            fix="name a program, or a folder that `handcraft compile` wrote",
        )
    with progress_bar(show=not json_) as progress:
        report = run_verify(
            loaded.model,
            loaded.source,
            prompts=loaded.prompts,
            sample=sample,
            seed=seed,
            progress=progress,
        )
    if json_:
        _print_json(report.to_json())
    else:
        print_report(report)
    if not report.passed:
        raise typer.Exit(1)


@app.command(
    epilog="Examples:\n\n"
    "  handcraft draw programs/aab.py -o aab.svg\n\n"
    "  handcraft draw by_hand -o by_hand.png"
)
def draw(
    program: Named,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .svg, .png or .dot file.")],
    architecture: Annotated[str, ARCHITECTURE] = "gpt2",
    positions: Positions = "auto",
    json_: Json = False,
) -> None:
    """Draw the data flow of a program."""
    from handcraft.draw import circuits_graph, render

    suffix = output.suffix.removeprefix(".").lower()
    if suffix not in ("svg", "png", "dot"):
        raise CommandError(
            f"{output} does not say what to draw", fix="end its name in .svg, .png or .dot"
        )
    compiled = compile_program(load_source(program), architecture=architecture, positions=positions)
    picture = render(circuits_graph(compiled.circuits).source, suffix)  # type: ignore[arg-type]
    write_file(output, picture)
    if json_:
        _print_json({"file": str(output), "format": suffix, "bytes": len(picture)})
    else:
        print(f"wrote {output} ({len(picture):,} bytes)")


@app.command(
    epilog="Examples:\n\n"
    "  handcraft explain programs/aab.py h.0.attn.c_proj.weight 23 43\n\n"
    "  handcraft explain aab/ h.0.attn.c_attn.bias 92"
)
def explain(
    program: NamedOrFolder,
    tensor: Annotated[str, typer.Argument(help="The name of a tensor.")],
    index: Annotated[list[int], typer.Argument(help="Row and column, or the place in a bias.")],
    json_: Json = False,
) -> None:
    """Say which rules one weight serves."""
    from handcraft.cli.report import explain_weight

    if Path(program).is_dir():
        checkpoint = read_checkpoint(program)
        found = explain_weight(checkpoint.model, checkpoint.origins, None, tensor, tuple(index))
    else:
        compiled = compile_program(load_source(program))
        origins = {
            name: {i: tuple(map(str, o)) for i, o in placed.origins.items()}
            for name, placed in compiled.placement.tensors.items()
        }
        found = explain_weight(compiled.model, origins, compiled, tensor, tuple(index))
    if json_:
        _print_json(found)
    else:
        for name, value in found.items():
            if value is not None:
                shown = ", ".join(value) or "nothing: it is 0" if isinstance(value, list) else value
                print(f"{name}: {shown}")


@app.command("list", epilog="Example:\n\n  handcraft list")
def list_(json_: Json = False) -> None:
    """Show the shipped programs, and how large each is as a GPT-2."""
    shipped, sizes = shipped_programs(), shipped_sizes()
    rows: list[dict[str, Any]] = [
        {"name": name, "summary": summary(path), **sizes.get(name, {})}
        for name, path in shipped.items()
    ]
    if json_:
        _print_json(rows)
        return
    width = max(map(len, shipped), default=0)
    for row in rows:
        print(f"{row['name']:<{width}}  {_sized(row)}{row['summary']}")


def _sized(row: Mapping[str, Any]) -> str:
    """Depth, width, heads and parameters in columns; nothing where they are not known."""
    if "blocks" not in row:
        return ""
    blocks, heads = _count(row["blocks"], "block"), _count(row["heads"], "head")
    return f"{blocks:<8}  {heads:<8}  width {row['width']:<4} {row['parameters']:>9,} parameters  "


def main() -> None:
    """Run the command line; errors of the input are told in three parts and exit with 2."""
    warnings.simplefilter("always", HandcraftWarning)
    warnings.showwarning = _show_warning
    try:
        app(prog_name="handcraft")
    except HandcraftError as error:
        command = shlex.join(["handcraft", *sys.argv[1:]])
        for problem in getattr(error, "problems", (error,)):
            problem.where = problem.where or f"the command {command}"
        print(error, file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


def _show_warning(message: Warning | str, *rest: Any, **more: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _print_json(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=2))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
