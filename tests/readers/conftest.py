"""Tests of what other tools read, in an environment of their own: `make readers` runs them there.

EAP-IG and SAELens need TransformerLens below 4, and the judges of `make test` need it from 4 on. A file
of this folder is collected where the tool that it needs is installed.
"""

from __future__ import annotations

import importlib.util

NEEDED = {
    "attribution.py": "eap",
    "eap_ig.py": "eap",
    "test_eap_ig.py": "eap",
    "interchange.py": "pyvene",
    "test_nnsight_exchange.py": "pyvene",
    "test_pyvene.py": "pyvene",
    "test_saelens.py": "sae_lens",
}
"""What each file needs; nnsight is installed beside pyvene."""

collect_ignore = [file for file, tool in NEEDED.items() if not importlib.util.find_spec(tool)]
