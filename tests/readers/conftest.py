"""Tests of what other tools read, in an environment of their own: `make readers` runs them there.

EAP-IG needs TransformerLens below 4, and the judges of `make test` need it from 4 on, so elsewhere
nothing of this folder is collected.
"""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("eap") else ["*.py"]
