"""Keeps what Python compiles of checkouts beside them, since the service's user may not write there.

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
_BYTECODE = os.path.join(_SLOT, "bytecode")
# The libraries that are run from checkouts of their own are apart: one may have a file of the same name
_APART = {
    os.path.join(_SLOT, "checkout") + os.sep: _BYTECODE,
    os.path.join(_SLOT, "with") + os.sep: os.path.join(_BYTECODE, ".with"),
}
_usual = _bootstrap_external.cache_from_source


def _cache_from_source(path: Any, *arguments: Any, **options: Any) -> str:
    """importlib's own answer, except for files of the checkouts: those go to the folder beside them.

    Not for root (what an agent does with its rights): the service's user writes there.
    """
    cached: str = _usual(path, *arguments, **options)
    if os.geteuid() == 0:
        return cached
    for sources, folder in _APART.items():
        if os.fspath(path).startswith(sources):
            return os.path.join(folder, os.path.relpath(cached, sources))
    return cached


_bootstrap_external.cache_from_source = _cache_from_source
