"""What a person asks of `checkout` and `plan`, with who makes what that needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devswap import meanwhile, overlay, overlay_tools, source
from devswap.libraries import Wanted
from devswap.meanwhile import Beside
from devswap.overlay import Overlay
from devswap.source import Checkout
from devswap.tuning import UNCHANGED, Changes


@dataclass(frozen=True)
class Wish:
    """What a person asked for."""

    service: str
    ref: str
    machine: str | None
    remote: str | None
    detach: bool
    restore_on_exit: bool = False
    """Give production back when the foreground run ends, however it ends."""
    snapshot: bool = False
    """Dump the database even if nothing is to be migrated."""
    apache: bool = False
    """Under the web server that production has, in the background."""
    foreground: bool = False
    """On this terminal, also where it was taken over under its web server before."""
    kept: bool = False
    """On a terminal that outlives the person's: what does not come up is rolled back, as in the background."""
    install: bool = False
    """Install the checkout, as it is now, instead of using it in place."""
    take_over: bool | None = False
    """Even if the swap is another user's; None for a command that has no such option."""
    libraries: tuple[Wanted, ...] = ()
    """What is to be run from checkouts of their own besides."""
    with_depends: bool = False
    """And what the change's Depends-On footers name."""
    changes: Changes = UNCHANGED
    """In how development runs."""
    reload: bool = False
    """Start it again on each save."""
    narrow: bool = True
    """Where HAProxy has several servers of the service, development gets the requests and they are its backups."""
    breakpoints: bool | None = None
    """HAProxy waits for a person at a prompt; None: in the foreground."""
    only: bool = False
    """Those who consume the same queue are stopped as long as development serves."""
    patient: bool = False
    """Those who call it by RPC wait for a person at a prompt."""

    @property
    def names_a_way(self) -> bool:
        """Whether it says where development shall run; else another checkout goes the way of the first."""
        return self.detach or self.apache or self.foreground or self.restore_on_exit or self.reload


@dataclass(frozen=True)
class Makers:
    """Who makes the two things that are mounted: the checkout, and the overlay over production's packages."""

    fetch: Callable[..., Checkout] = source.prepare
    build: Callable[..., Overlay] = overlay.prepare
    begin: Callable[[Path, str], None] = lambda cache, python: None  # noqa: ARG005
    """Called early with what `build` will be called with, so that it can get itself ready meanwhile."""
    beside: Beside = meanwhile.at_once
    """How something is looked at while `fetch` goes on."""
    require: Callable[..., object] = source.require
    """Raises where `fetch` would find nothing."""


MAKERS = Makers(begin=overlay_tools.begin, beside=meanwhile.begun)
