"""`python -m handcraft_check DIR ...`: is the answer right after every context?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from handcraft_check.arithmetic.regime import REGIMES
from handcraft_check.claim import read_claim
from handcraft_check.errors import CheckError
from handcraft_check.many import prove_all
from handcraft_check.processes import Processes
from handcraft_check.prove import prove
from handcraft_check.radius import prove_radius

EXITS = {"proved": 0, "unproved": 3, "refuted": 4}
"""The exit status of each verdict; 2 where a folder cannot be judged."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a folder, print the verdict, and return the exit status."""
    parser = argparse.ArgumentParser(prog="handcraft_check", description=__doc__)
    parser.add_argument(
        "folders", type=Path, nargs="+", help="GPT-2 directories, each with a certificate.json"
    )
    parser.add_argument("--workers", type=int, default=1, help="how many processes check at once")
    parser.add_argument(
        "--results", type=Path, help="a file of verdicts; an interrupted run continues from it"
    )
    parser.add_argument("--certificate", type=Path, help="a certificate in place of the folder's own")
    parser.add_argument(
        "--rehash", action="store_true", help="take the files as they are, whatever their hashes"
    )
    parser.add_argument(
        "--print-program", action="store_true", help="print what the certificate claims, and stop"
    )
    parser.add_argument(
        "--regime", choices=REGIMES, help="the arithmetic, in place of that in the certificate"
    )
    parser.add_argument(
        "--context", type=int, help="the most tokens of a context, in place of that in the certificate"
    )
    parser.add_argument(
        "--radius", action="store_true", help="find how far all weights may move before a proof fails"
    )
    parser.add_argument(
        "--exact", action="store_true", help="compute bounds in whole numbers of 2^-512, slowly"
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.add_argument("--verbose", action="store_true", help="say what is going on")
    given = parser.parse_args(arguments)
    if len(given.folders) > 1 or given.results is not None or given.workers > 1:
        if given.print_program or given.radius or given.certificate:
            parser.error(
                "--print-program, --radius and --certificate are about one folder, "
                "without --results and --workers"
            )
        return _check_many(given)
    (given.folder,) = given.folders
    options = {
        "certificate": given.certificate,
        "rehash": given.rehash,
        "regime": given.regime,
        "context": given.context,
        "progress": (lambda text: print(text, file=sys.stderr)) if given.verbose else lambda text: None,
    }
    try:
        if given.print_program:
            named = {name: options[name] for name in ("certificate", "rehash", "regime", "context")}
            claim = read_claim(given.folder, **named)
            print(f"arithmetic: {claim.arithmetic}\n{claim.meaning}")
            return 0
        if given.radius:
            radius, verdict = prove_radius(given.folder, **options)
        else:
            radius, verdict = None, prove(given.folder, exact=given.exact, **options)
    except CheckError as error:
        print(error, file=sys.stderr)
        return 2
    except MemoryError:
        print(CheckError("the proof does not fit into memory", str(given.folder)), file=sys.stderr)
        return 2
    found = verdict.to_json() | ({} if radius is None else {"radius": radius})
    text = str(verdict) if radius is None else f"{verdict}\nradius: {radius:g}"
    print(json.dumps(found, indent=1) if given.json else text)
    return EXITS[verdict.word]


def _check_many(given: argparse.Namespace) -> int:
    """Check several folders, and print each verdict below the name of its folder."""
    options = {name: getattr(given, name) for name in ("rehash", "regime", "exact", "context")}
    if given.verbose:
        options["progress"] = lambda text: print(text, file=sys.stderr)
    statuses = []
    try:
        with nullcontext() if given.workers < 2 else Processes(given.workers) as executor:
            for folder, found in prove_all(given.folders, executor, given.results, **options):
                if isinstance(found, CheckError):
                    status, what = 2, {"error": found.what}
                else:
                    status, what = EXITS[found.word], found.to_json()
                statuses.append(status)
                if given.json:
                    print(json.dumps({"folder": str(folder), **what}), flush=True)
                else:
                    print(f"{folder}\n{found}", flush=True)
    except CheckError as error:
        print(error, file=sys.stderr)
        return 2
    return 2 if 2 in statuses else max(statuses)


if __name__ == "__main__":
    sys.exit(main())
