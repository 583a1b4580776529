"""`python -m handcraft_check DIR`: is the answer right after every context?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from handcraft_check.errors import CheckError
from handcraft_check.prove import prove, read_claim
from handcraft_check.radius import prove_radius
from handcraft_check.regime import REGIMES

EXITS = {"proved": 0, "unproved": 3, "refuted": 4}
"""The exit status of each verdict; 2 where a folder cannot be judged."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a folder, print the verdict, and return the exit status."""
    parser = argparse.ArgumentParser(prog="handcraft_check", description=__doc__)
    parser.add_argument("folder", type=Path, help="a GPT-2 directory with a certificate.json")
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
        "--radius", action="store_true", help="find how far all weights may move before a proof fails"
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.add_argument("--verbose", action="store_true", help="say what is going on")
    given = parser.parse_args(arguments)
    options = {
        "rehash": given.rehash,
        "regime": given.regime,
        "progress": (lambda text: print(text, file=sys.stderr)) if given.verbose else lambda text: None,
    }
    try:
        if given.print_program:
            claim = read_claim(given.folder, rehash=given.rehash, regime=given.regime)
            print(f"arithmetic: {claim.arithmetic}\n{claim.meaning}")
            return 0
        if given.radius:
            radius, verdict = prove_radius(given.folder, **options)
        else:
            radius, verdict = None, prove(given.folder, **options)
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


if __name__ == "__main__":
    sys.exit(main())
