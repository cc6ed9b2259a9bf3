"""Whether tests that take minutes are asked for: `scripts/test --all`."""

from __future__ import annotations

import os

VARIABLE = "DEVSWAP_TEST_EVERYTHING"
EVERYTHING = int(os.environ.get(VARIABLE) or 0)
"""Of a number above 1: that many restores in a row are interrupted in the crash tables, which takes hours."""
