"""`handcraft compile`: a program as weight files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from handcraft.architecture import Architecture, architecture_named, llama
from handcraft.circuits import Circuits
from handcraft.cli.input.expressions import Expressions
from handcraft.cli.input.options import DTYPE, TOLERANCE, Json, Lines, Named, Positions
from handcraft.cli.input.sources import Found, check_length, check_options, find, read_token_ids
from handcraft.cli.output.printing import note, print_json
from handcraft.cli.output.progress_bar import shown_progress
from handcraft.cli.provable import what_is_provable
from handcraft.compiler import (
    PASSES,
    Compiled,
    CompiledSequences,
    compile_program,
    compile_sequences,
    show_pass,
)
from handcraft.display import count
from handcraft.errors import CommandError, ProofError
from handcraft.formats import FORMATS, check_place, check_target, compile_again, fill, save
from handcraft.formats.manifest.read_manifest import parse_manifest
from handcraft.formats.raschka_file import raschka_parameters
from handcraft.language import Program
from handcraft.model import published_shape
from handcraft.proofs import Proof, Wanted
from handcraft.verify import Measured
from handcraft.weights import Sizes

EXAMPLES = (
    "handcraft compile programs/aab.py -o aab/",
    "handcraft compile by_hand -o by_hand/ --format npz",
    "handcraft compile aab/ -o half/ --dtype float16",
    "handcraft compile induction --show fuse-tables",
)

OPTIMIZE_HELP = (
    "Encode a numeric answer as one scalar, decode it to the nearest token, and drop what the rounding "
    "makes unnecessary."
)
PASSES_HELP = f"Only some passes of --optimize, as in ordinal,merge. All: {', '.join(PASSES)}."
SHOW_HELP = (
    "Print the program after a pass, and write no folder: 'as written', 'fold and share', 'lower "
    "aggregates', 'fuse tables' or 'approximate'; for rules also 'ranked rules'."
)
PROOF_HELP = "Write nothing unless the answer after every allowed prompt is proved; implies --provable."
PROVABLE_HELP = (
    "In half precision, take the smallest model that can be proved with every step rounded, not the "
    "smallest that answers right."
)
KV_HELP = "Heads with keys and values of their own (llama)."
THETA_HELP = "The base of the frequencies of RoPE (llama); by default 10000."
EPSILON_HELP = "What RMSNorm adds to the mean square (llama); by default 1e-6."
WINDOW_HELP = "How many positions a position sees, as in Mistral (llama); by default all."
UNTIED_HELP = "Give the unembedding a matrix of its own (llama)."
FORMAT_HELP = f"One of: {', '.join(FORMATS)}. By default huggingface; for block, safetensors."

DEFAULTS: dict[str, Any] = {
    "positions": "auto",
    "n_positions": None,
    "like": None,
    "tokens": "auto",
    "optimize": False,
    "provable": False,
}
"""Options for programs only, with their defaults."""


def compile_(
    program: Named = None,
    lines: Lines = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The folder to write.", show_default=False),
    ] = None,
    show: Annotated[str | None, typer.Option(help=SHOW_HELP, show_default=False)] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="The target architecture: gpt2, block or llama. By default gpt2; for expressions, "
            "block.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[str, DTYPE] = "float32",
    format: Annotated[str | None, typer.Option(help=FORMAT_HELP)] = None,
    positions: Positions = "auto",
    n_positions: Annotated[
        int | None, typer.Option(min=1, help="How many positions the model has.")
    ] = None,
    n_embd: Annotated[int | None, typer.Option(min=1, help="Width of the residual stream.")] = None,
    n_head: Annotated[int | None, typer.Option(min=1, help="Heads in each block.")] = None,
    head_dim: Annotated[int | None, typer.Option(min=1, help="Width of a head.")] = None,
    n_kv_head: Annotated[int | None, typer.Option(min=1, help=KV_HELP)] = None,
    theta: Annotated[float | None, typer.Option(help=THETA_HELP)] = None,
    epsilon: Annotated[float | None, typer.Option(help=EPSILON_HELP)] = None,
    window: Annotated[int | None, typer.Option(min=1, help=WINDOW_HELP)] = None,
    untied: Annotated[bool, typer.Option("--untied", help=UNTIED_HELP)] = False,
    like: Annotated[
        str | None,
        typer.Option(
            help="Fill the shape of gpt2-small, -medium, -large or -xl, or of the Llamas stories260k, "
            "stories15m or tinyllama, with zeros around the program."
        ),
    ] = None,
    token_ids: Annotated[
        str | None, typer.Option(help="Token ids to use in that shape, as in a=64,b=65.")
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse/--no-reuse", help="Clear dimensions that are no longer read, and reuse them."
        ),
    ] = True,
    optimize: Annotated[bool, typer.Option("--optimize", help=OPTIMIZE_HELP)] = False,
    passes: Annotated[str | None, typer.Option(help=PASSES_HELP, show_default=False)] = None,
    tokens: Annotated[
        str, typer.Option(help="How rules encode tokens: auto, one-hot or binary.")
    ] = "auto",
    tolerance: Annotated[float | None, TOLERANCE] = None,
    report_: Annotated[
        bool,
        typer.Option("--report", help="Print what every block contains, and what each pass saved."),
    ] = False,
    provable: Annotated[bool, typer.Option("--provable", help=PROVABLE_HELP)] = False,
    require_proof: Annotated[bool, typer.Option("--require-proof", help=PROOF_HELP)] = False,
    json_: Json = False,
) -> None:
    """Compile a program, or expressions without rules, to weight files.

    A Python file without a program is compiled to a model that computes values: those of
    outputs = {"name": expression}, or else of every variable that is an expression.
    A compiled folder is compiled again from the rules or circuits stored in it,
    for another architecture, dtype, size or format.
    """
    if show is not None:
        found = find(program, lines or (), shipped_first=True)
        _show(found, show, output, architecture, dtype, as_json=json_)
        return
    if output is None:
        raise CommandError(
            "there is no folder to write", fix="name one with -o, or show a pass with --show"
        )
    check_place(output)
    check_target(output)
    found = find(program, lines or (), shipped_first=True)
    note(found.note)
    source = found.source
    check_length(source, published_shape(like).n_positions if like else n_positions)
    is_values = isinstance(source, Expressions) or (
        found.folder is not None and found.folder.values is not None
    )
    options: dict[str, Any] = {
        "architecture": _target(
            architecture or ("block" if is_values else "gpt2"),
            {"theta": theta, "epsilon": epsilon, "window": window, "untied": untied or None},
        ),
        "dtype": dtype,
        "positions": positions,
        "n_positions": n_positions,
        "sizes": Sizes(n_embd, n_head, head_dim, n_kv_head),
        "like": like,
        "tokens": tokens,
        "reuse": reuse,
        "optimize": passes.split(",") if passes is not None else optimize,
        "provable": provable,
    }
    compiled: Compiled | CompiledSequences
    if isinstance(source, Expressions):
        for_programs = {name: options.pop(name) for name in DEFAULTS}
        for_programs |= {"passes": passes, "token_ids": token_ids}
        check_options({k: v for k, v in for_programs.items() if v != DEFAULTS.get(k)}, source)
        options["tolerance"] = tolerance or 0
    elif tolerance is not None:
        check_options({"tolerance": tolerance}, source)
    if not isinstance(source, Expressions):
        options["provable"] = provable or require_proof
    ids = None if token_ids is None else read_token_ids(token_ids)
    with shown_progress():
        if found.folder is not None:
            compiled = compile_again(found.folder, **options)
        elif isinstance(source, Expressions):
            compiled = compile_sequences(source.outputs, **options)
        else:
            compiled = compile_program(source, **options)
        proof: Wanted = "required" if require_proof else "quick"
        again = found.folder
        try:
            save(
                compiled,
                output,
                format=format,
                like=like,
                token_ids=ids,
                again=again,
                proof=proof,
                meaning=found.means,
            )
        except ProofError as error:
            if isinstance(source, Program) and not like:
                error.fix = what_is_provable(source, options)
            raise
    manifest = parse_manifest(output)
    facts, proved = manifest.get("facts"), manifest.get("proof")
    model = compiled.model
    made = compiled.report()
    if like and isinstance(compiled, Compiled):
        model = fill(compiled, like, ids)
        made = replace(compiled, model=model).report()
    neurons = sum(len(block.neurons) for block in compiled.circuits.blocks)
    heads = sum(len(block.heads) for block in compiled.circuits.blocks)
    report = {
        "folder": str(output),
        "files": sorted(path.name for path in output.iterdir()),
        "architecture": model.architecture.name,
        "dtype": model.dtype.name,
        "rules": _rules(source, compiled),
        "blocks": model.shape.n_layer,
        "heads": heads,
        "neurons": neurons,
        "width": model.shape.n_embd,
        "parameters": model.parameters,
        "nonzero": model.nonzero_parameters,
        "facts": facts,
        "proof": proved,
    }
    if manifest["format"] == "raschka":
        report["parameters_in_files"] = raschka_parameters(model.shape)
    if isinstance(compiled, CompiledSequences):
        report["outputs"] = [output.name for output in compiled.outputs]
    if json_:
        print_json({**report, "report": asdict(made)} if report_ else report)
        return
    print(f"wrote {output}/: {', '.join(report['files'])}")  # type: ignore[arg-type]
    print(
        f"{model.architecture.name}, {model.dtype.name}: {count(model.shape.n_layer, 'block')}, "
        f"{count(heads, 'head')}, {count(neurons, 'neuron')}, width {model.shape.n_embd}; "
        f"{model.parameters:,} parameters, {model.nonzero_parameters:,} of them not 0"
    )
    if "parameters_in_files" in report:
        print(
            f"{report['parameters_in_files']:,} parameters in the files: the head is a tensor of its "
            "own, an MLP is four times as wide as the stream, and query, key and value have no bias"
        )
    if facts is not None:
        print(f"hard attention, norms and thresholds: {Measured(**facts).in_words}")
    if proved is not None:
        print(Proof(**proved))
    if report_:
        print(made)
    elif made.passes:
        print(made.optimized)


def _target(name: str, facts: Mapping[str, Any]) -> str | Architecture:
    """The architecture that is asked for.

    Raises:
        CommandError: one that is no Llama is asked for facts of Llamas.
    """
    asked = {fact: value for fact, value in facts.items() if value is not None}
    if not asked:
        return name
    if not architecture_named(name).is_rotary:
        raise CommandError(
            f"--{next(iter(asked))} is for a Llama, and the architecture is {name}",
            fix=f"leave out --{next(iter(asked))}, or add --architecture llama",
        )
    tied = not asked.pop("untied", False)
    return llama(tied=tied, **asked)


def _show(
    found: Found,
    name: str,
    output: Path | None,
    architecture: str | None,
    dtype: str,
    *,
    as_json: bool,
) -> None:
    """Print the program after a pass."""
    if output is not None:
        raise CommandError(
            f"--show prints a pass and writes no folder, but -o is {output}",
            fix="leave out -o, or leave out --show",
        )
    note(found.note)
    source = found.source
    if isinstance(source, Circuits):
        raise CommandError(
            "passes work on rules and expressions, and these are circuits",
            where=source.place,
            fix="name the program that they were compiled from",
        )
    shown = source.outputs if isinstance(source, Expressions) else source
    target = architecture_named(architecture) if architecture else None
    text = show_pass(shown, name, architecture=target, dtype=dtype)
    if as_json:
        print_json({"pass": name.replace("-", " "), "text": text})
    else:
        print(text)


def _rules(source: object, compiled: Compiled | CompiledSequences) -> int | None:
    """How many rules there are; None where there are none."""
    if isinstance(source, Program):
        return len(source.rules)
    return len(compiled.written) or None if isinstance(compiled, Compiled) else None
