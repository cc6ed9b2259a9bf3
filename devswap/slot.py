"""Where a swapped service finds what devswap brings it: paths in the machine, below /run/devswap.

/run is gone after a reboot, so nothing of this outlives the machine's run.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Mount:
    """A folder of the host to be shown in a machine."""

    source: Path
    target: str
    readonly: bool
    passing: bool = False
    """Its folder was made for this mount, and goes with it."""


@dataclass(frozen=True)
class Made:
    """What hooks have made for development alone, in folders of the machine."""

    python: str = ""
    """With modules that are found before all others."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """With files that a web server shows: {"/static": folder}."""


NOTHING = Made()


@dataclass(frozen=True)
class Slot:
    """The places of one swapped service, e.g. checkout=/run/devswap/heat-engine/1/checkout.

    `checkout` and `overlay` are siblings: the overlay leads to the checkout by a relative path, so that the same
    overlay serves wherever it is mounted.
    """

    checkout: str
    overlay: str

    @property
    def python(self) -> str:
        return f"{self.overlay}/bin/python"

    @property
    def tools(self) -> str:
        """What builds the overlay: virtualenv and pip. Needed while it is built only."""
        return self._beside("tools")

    @property
    def build(self) -> str:
        """Where it is built: home and temporary folder of everything that a checkout's build runs."""
        return self._beside("build")

    @property
    def bytecode(self) -> str:
        """What Python compiles, since neither production's packages nor the checkout may be written."""
        return self._beside("bytecode")

    @property
    def edited(self) -> str:
        """A person's own copies of files of /etc: see edits.py."""
        return self._beside("edited")

    @property
    def made(self) -> str:
        """What hooks make: see hooks_of_swap.py."""
        return self._beside("made")

    def library(self, name: str) -> str:
        """A library that is run from a checkout of its own."""
        return f"{self._beside('with')}/{name}"

    def _beside(self, name: str) -> str:
        return posixpath.join(posixpath.dirname(self.overlay), name)
