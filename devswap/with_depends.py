"""The libraries that the Depends-On footers of a checkout ask for, to be run as if they were given by --with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from devswap import gerrit, proposed
from devswap.dependencies import Change, Walk
from devswap.errors import DevswapError, UsageError
from devswap.git import Git
from devswap.invoker import UserHome
from devswap.libraries import Wanted, names_of
from devswap.masking import mask
from devswap.mirror import open_mirror
from devswap.refs import ChangeId, Dependency, Fork, GerritChange, PullRequest, RemoteRef
from devswap.resolve import Remotes
from devswap.source import Checkout

_NAME_IT = "give what is needed by its name, and leave --with-depends out: --with LIB=REF"


@dataclass(frozen=True)
class Depends:
    """Where changes are looked for; `remotes` gives those of a project, which may be written openstack/heat."""

    remotes: Callable[[str], Remotes]
    home: UserHome
    cache: Path
    say: Callable[[str], None]

    def wanted(self, checkout: Checkout, *, given: Sequence[Wanted], used: Collection[str]) -> list[Wanted]:
        """What `checkout` needs besides `given`; `used` are the names of all packages that the service uses.

        Raises DevswapError for footers that cannot be followed.
        """
        start = self._start(checkout)
        found: list[Wanted] = []
        for change in Walk(self._look, lambda one, other: self._has(one, other, checkout), self.say).needed(start):
            if not names_of(change.repository) & {canonicalize_name(name) for name in used}:
                self.say(
                    f"{checkout.ref} depends on {change}, which this service has no package of: "
                    "take its own service over as well, if it matters here"
                )
            elif any(each.name and names_of(each.name) & names_of(change.repository) for each in given):
                self.say(f"{checkout.ref} depends on {change}: --with says otherwise")
            else:
                found.append(Wanted(change.repository, change.ref, change.project))
        return found

    def _start(self, checkout: Checkout) -> Change:
        said = proposed.messages(self._git(checkout), checkout.commit, "--remotes", "--tags")
        return Change(checkout.project, checkout.change, checkout.commit, (checkout.message, *said), ref=checkout.ref)

    def _git(self, checkout: Checkout) -> Git:
        trusted = {"safe.directory": "*"} if checkout.own_tree else {}
        return Git(self.home, checkout.path, trusted, quiet=True)

    def _look(self, dependency: Dependency, by: Change) -> Change:
        project, ref = self._located(dependency, by)
        found = proposed.look_up(
            project.rpartition("/")[2],
            ref,
            remotes=self.remotes(project),
            home=self.home,
            cache=self.cache,
            say=self.say,
        )
        typed = dependency.url if isinstance(ref, Fork) else f"review/{found.number}"
        return Change(project, found.number, found.commit, found.messages, found.merged_into, typed)

    def _located(self, dependency: Dependency, by: Change) -> tuple[str, RemoteRef | Fork]:
        """The project of what a footer names, and what it is called there."""
        ref = dependency.ref
        if isinstance(ref, Fork) and isinstance(ref.inside, PullRequest):
            return ref.url.rstrip("/").removesuffix(".git").rpartition("/")[2], ref
        if isinstance(ref, GerritChange) and ref.project:
            return ref.project, GerritChange(ref.number)
        if isinstance(ref, GerritChange | ChangeId):
            return self._asked(dependency, ref, by)
        raise UsageError(f"{by} depends on {mask(dependency.url)}, which is no change", hint=_NAME_IT)

    def _asked(self, dependency: Dependency, ref: GerritChange | ChangeId, by: Change) -> tuple[str, RemoteRef]:
        """Gerrit knows the project; without its answer a Change-Id is looked for in the project that names it."""
        rest = self.remotes(by.project).rest
        known = gerrit.reviews(rest, ref.number if isinstance(ref, GerritChange) else ref.value) if rest else None
        known = [each for each in known or [] if each.status == gerrit.OPEN] or known
        if known and len(known) == 1:
            return known[0].project, GerritChange(known[0].number)
        if known:
            several = ", ".join(f"{each.project} {each.number}" for each in known)
            raise DevswapError(f"{by} depends on {dependency.url}, which is several changes: {several}", hint=_NAME_IT)
        if isinstance(ref, ChangeId):
            return by.project, ref
        raise DevswapError(
            f"{by} depends on {dependency.url}, and nobody says which project that is: no REST of Gerrit answers",
            hint=f"set gerrit_url, or {_NAME_IT}",
        )

    def _has(self, one: Change, other: Change, checkout: Checkout) -> bool:
        if one.commit == checkout.commit:
            return proposed.has(self._git(checkout), one.commit, other.commit, other.messages[0])
        mirror = open_mirror(one.repository, cache=self.cache, home=self.home, say=self.say)
        return proposed.has(mirror.git, one.commit, other.commit, other.messages[0])
