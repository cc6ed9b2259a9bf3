"""Whether tests that take minutes are asked for: `scripts/test --all`."""

from __future__ import annotations

import os

VARIABLE = "DEVSWAP_TEST_EVERYTHING"
EVERYTHING = os.environ.get(VARIABLE, "") not in ("", "0")
