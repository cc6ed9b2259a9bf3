"""Keeps what Python compiles of a checkout beside it, since the service's user may not write into the checkout.

Copied into every overlay and run when its interpreter starts, so it imports nothing of devswap and little else.
PYTHONPYCACHEPREFIX would do the same for *all* packages, and so hide the bytecode that production's packages bring: a
service would compile a thousand modules while nobody serves.
"""

from __future__ import annotations

import os
import sys
from importlib import _bootstrap_external
from typing import Any

_SLOT = os.path.dirname(sys.prefix)
_CHECKOUT = os.path.join(_SLOT, "checkout") + os.sep
_BYTECODE = os.path.join(_SLOT, "bytecode")
_usual = _bootstrap_external.cache_from_source


def _cache_from_source(path: Any, *arguments: Any, **options: Any) -> str:
    """importlib's own answer, except for files of the checkout: those go to the folder beside it."""
    cached: str = _usual(path, *arguments, **options)
    if not os.fspath(path).startswith(_CHECKOUT):
        return cached
    return os.path.join(_BYTECODE, os.path.relpath(cached, _CHECKOUT))


_bootstrap_external.cache_from_source = _cache_from_source
