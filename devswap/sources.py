"""What a service is run from: the checkout of its project, and those of libraries that it is to use with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from devswap import libraries, newest, refs, requirements
from devswap.deployment import Deployment
from devswap.host import Host
from devswap.libraries import Chosen, Wanted
from devswap.masking import mask
from devswap.overlay import Overlay
from devswap.overlay_request import read
from devswap.service import Service
from devswap.source import Checkout, Remotes
from devswap.with_depends import Depends


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
    deployment: Deployment,
    ref: str,
    *,
    remote: str | None,
    wanted: Sequence[Wanted],
    with_depends: bool,
    fetch: Callable[..., Checkout],
) -> Sources:
    """The checkouts on the host, owned by the invoking user; `remote` is where the project's own `ref` is."""
    service = deployment.service

    def get(project: str, ref: str, remote: str | None = None) -> Checkout:
        home = host.home()
        found: Checkout = fetch(
            project.rpartition("/")[2],
            ref,
            remotes=_remotes(host, project, remote),
            home=home,
            cache=home.folder / "mirrors",
            say=host.say,
        )
        if found.review:
            host.say(str(found.review))
        if (review := _review(found)) and not refs.is_patchset(refs.parse(ref)):
            newest.note(host.state, review)
        return found

    checkout = get(service.project, ref, remote or service.remote)
    needed = _depends(host).wanted(checkout, given=wanted, used=_used(deployment, checkout)) if with_depends else []
    return Sources(checkout, tuple(libraries.choose([*wanted, *needed], besides=service.distribution, fetch=get)))


def require_ref(host: Host, service: Service, ref: str, remote: str | None, look: Callable[..., object]) -> None:
    """Raise DevswapError where `gather` would not find the project's own `ref`."""
    home = host.home()
    look(
        service.project.rpartition("/")[2],
        ref,
        remotes=_remotes(host, service.project, remote or service.remote),
        home=home,
        cache=home.folder / "mirrors",
        say=host.say,
    )


def _depends(host: Host) -> Depends:
    home = host.home()
    return Depends(lambda project: _remotes(host, project, None), home, home.folder / "mirrors", host.say)


def _used(deployment: Deployment, checkout: Checkout) -> set[str]:
    """The packages that production has, and those that the checkout requires besides."""
    found = {
        name
        for folder in deployment.interpreter.site_folders
        for name in requirements.packages(deployment.machine.names(folder))
    }
    for line in requirements.requirement_lines(read(checkout.path / "requirements.txt")):
        with suppress(InvalidRequirement):
            found.add(Requirement(line).name)
    return found


def _remotes(host: Host, project: str, remote: str | None) -> Remotes:
    """`remote` stands for all of them, and nobody knows its REST."""
    if remote:
        return Remotes(remote, remote)
    chosen = host.settings
    return Remotes(_at(chosen.branches_url, project), _at(chosen.changes_url, project), chosen.rest)


def _at(base: str, project: str) -> str:
    """The address of a project; the base is that of the folder openstack, which other folders are beside."""
    folder, _, name = project.rpartition("/")
    above, _, usual = base.rstrip("/").rpartition("/")
    return f"{base}/{name}" if folder in ("", "openstack", usual) else f"{above}/{folder}/{name}"


def _described(checkout: Checkout) -> dict[str, Any]:
    return {
        "ref": mask(checkout.ref),
        "commit": checkout.commit,
        "subject": checkout.subject,
        "checkout": str(checkout.path),
        "review": _review(checkout),
    }


def _review(checkout: Checkout) -> dict[str, Any] | None:
    """What is known of a Gerrit change, and where to ask for more; never an address with a password."""
    if checkout.change is None or checkout.remotes is None:
        return None
    said, url = checkout.review, checkout.remotes.changes
    return {
        "project": checkout.project,
        "change": checkout.change,
        "patchset": checkout.patchset,
        "newest": checkout.newest,
        "owner": said.owner if said else None,
        "branch": said.branch if said else checkout.branch,
        "status": said.status if said else None,
        "url": _public(url),
        "rest": _public(checkout.remotes.rest),
    }


def _public(url: str | None) -> str | None:
    """`url`, unless there is a password in it."""
    return url if url is not None and mask(url) == url else None


def _library(chosen: Chosen, built: Overlay) -> dict[str, Any]:
    return {
        "name": chosen.distribution,
        **_described(chosen.checkout),
        "version": chosen.checkout.version,
        "folder": chosen.library.name,
        "packages": list(built.libraries[chosen.library.name]),
    }
