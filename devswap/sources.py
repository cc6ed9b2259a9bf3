"""What a service is run from: the checkout of its project, and those of libraries that it is to use with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from devswap import libraries
from devswap.host import Host
from devswap.libraries import Chosen, Wanted
from devswap.masking import mask
from devswap.overlay import Overlay
from devswap.service import Service
from devswap.source import Checkout, Remotes


@dataclass(frozen=True)
class Sources:
    checkout: Checkout
    libraries: tuple[Chosen, ...] = ()

    @property
    def identity(self) -> tuple[str, ...]:
        """The same for the same code, unless it is `dirty`."""
        trees = (self.checkout, *(library.checkout for library in self.libraries))
        return tuple(part for tree in trees for part in (tree.commit, str(tree.path)))

    @property
    def dirty(self) -> bool:
        """Some of it is in no commit."""
        return self.checkout.dirty or any(library.checkout.dirty for library in self.libraries)

    def described(self, built: Overlay) -> dict[str, Any]:
        """What a swap says of them: see journal.Swap."""
        return {**_described(self.checkout), "libraries": [_library(each, built) for each in self.libraries]}


def gather(
    host: Host,
    service: Service,
    ref: str,
    *,
    remote: str | None,
    wanted: Sequence[Wanted],
    fetch: Callable[..., Checkout],
) -> Sources:
    """The checkouts on the host, owned by the invoking user; `remote` is where the project's own `ref` is."""

    def get(project: str, ref: str, remote: str | None = None) -> Checkout:
        home = host.home()
        return fetch(
            project,
            ref,
            remotes=_remotes(host, project, remote),
            home=home,
            cache=home.folder / "mirrors",
            say=host.say,
        )

    checkout = get(service.project, ref, remote)
    return Sources(checkout, tuple(libraries.choose(wanted, besides=service.distribution, fetch=get)))


def _remotes(host: Host, project: str, remote: str | None) -> Remotes:
    chosen = host.settings
    return Remotes(remote or f"{chosen.branches_url}/{project}", remote or f"{chosen.changes_url}/{project}")


def _described(checkout: Checkout) -> dict[str, Any]:
    return {
        "ref": mask(checkout.ref),
        "commit": checkout.commit,
        "subject": checkout.subject,
        "checkout": str(checkout.path),
    }


def _library(chosen: Chosen, built: Overlay) -> dict[str, Any]:
    return {
        "name": chosen.distribution,
        **_described(chosen.checkout),
        "version": chosen.checkout.version,
        "folder": chosen.library.name,
        "packages": list(built.libraries[chosen.library.name]),
    }
