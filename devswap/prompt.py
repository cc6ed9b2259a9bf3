"""Leaves Ctrl-C to the service once its debugger was used.

pdb takes SIGINT for itself when it goes on, and uWSGI, whose own handler that replaces, could then be ended by a kill
only. Copied into every overlay and imported there by uWSGI before the application, so it imports nothing of devswap.
"""

from __future__ import annotations

import pdb
from typing import Any

_usual = pdb.Pdb.__init__
_NOSIGINT = 4  # its place among the arguments


def _without_sigint(self: pdb.Pdb, *arguments: Any, **options: Any) -> None:
    if len(arguments) <= _NOSIGINT:
        options.setdefault("nosigint", True)
    _usual(self, *arguments, **options)


pdb.Pdb.__init__ = _without_sigint  # type: ignore[method-assign]
