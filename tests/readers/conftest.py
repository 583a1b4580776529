"""Tests of what other tools read, in an environment of their own: `make readers` runs them there.

EAP-IG and SAELens need TransformerLens below 4, and the judges of `make test` need it from 4 on. A file
of this folder is collected where the tool that it is about is installed.
"""

from __future__ import annotations

import importlib.util

READERS = {
    "test_eap_ig.py": "eap",
    "test_nnsight_exchange.py": "nnsight",
    "test_pyvene.py": "pyvene",
    "test_saelens.py": "sae_lens",
}
"""What each file needs."""

collect_ignore = [file for file, tool in READERS.items() if not importlib.util.find_spec(tool)]
