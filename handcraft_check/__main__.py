"""`python -m handcraft_check DIR`: is the answer right after every context?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from handcraft_check.errors import CheckError
from handcraft_check.prove import prove, read_claim

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
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.add_argument("--verbose", action="store_true", help="say what is going on")
    given = parser.parse_args(arguments)
    try:
        if given.print_program:
            print(read_claim(given.folder, rehash=given.rehash).meaning)
            return 0
        verdict = prove(
            given.folder,
            rehash=given.rehash,
            progress=(lambda text: print(text, file=sys.stderr))
            if given.verbose
            else lambda text: None,
        )
    except CheckError as error:
        print(error, file=sys.stderr)
        return 2
    except MemoryError:
        print(CheckError("the proof does not fit into memory", str(given.folder)), file=sys.stderr)
        return 2
    print(json.dumps(verdict.to_json(), indent=1) if given.json else verdict)
    return EXITS[verdict.word]


if __name__ == "__main__":
    sys.exit(main())
