"""Finds the commit that a ref stands for, on the project's servers, and says clearly when there is none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from devswap import gerrit
from devswap.errors import DevswapError, UsageError
from devswap.masking import mask
from devswap.mirror import Mirror
from devswap.refs import ChangeId, Fork, GerritChange, Named, PullRequest, RemoteRef, change_ref

# A change's version needs the tags its branch has by now; they change seldom.
_TAGS_GO_STALE = 3600.0
_FEW_PATCHSETS = 20000


@dataclass(frozen=True)
class Remotes:
    """Where a project's git is, as addresses of repositories; `rest` is the base of Gerrit's pages, if it has any."""

    branches: str
    changes: str
    rest: str | None = None


@dataclass(frozen=True)
class Found:
    """A commit on a server. `branch` is a branch's own name; patchsets are a change's."""

    commit: str
    resolved: str
    url: str
    branch: str | None = None
    change: int | None = None
    patchset: int | None = None
    newest: int | None = None


def find(ref: RemoteRef | Fork, project: str, remotes: Remotes, mirror: Mirror, now: Callable[[], float]) -> Found:
    """Ask the servers, as far as needed, and return what is there; the mirror has the commit afterwards."""
    if isinstance(ref, Fork):
        alone = Remotes(ref.url, ref.url)
        return find(ref.inside, project, alone, mirror, now)
    search = _Search(project, remotes, mirror, now)
    if isinstance(ref, GerritChange):
        return search.change(ref)
    if isinstance(ref, ChangeId):
        return search.change(GerritChange(search.number_of(ref)))
    if isinstance(ref, PullRequest):
        return search.pull_request(ref)
    return search.named(ref)


@dataclass(frozen=True)
class _Search:
    project: str
    remotes: Remotes
    mirror: Mirror
    now: Callable[[], float]

    def change(self, ref: GerritChange) -> Found:
        if ref.project and ref.project.rpartition("/")[2] != self.project:
            raise UsageError(f"change {ref.number} belongs to {ref.project}, not to {self.project}")
        if known := self._known_patchset(ref):
            return known
        self._see_to_tags()
        patchsets = self.mirror.patchsets(self.remotes.changes, ref.number)
        if not patchsets:
            raise DevswapError(
                f"change {ref.number} does not exist in {self.project} on {mask(self.remotes.changes)}",
                hint="see that the number and the project are right; a change that is private or deleted has no ref",
            )
        newest = max(patchsets)
        patchset = ref.patchset or newest
        if patchset not in patchsets:
            raise DevswapError(
                f"change {ref.number} has no patchset {patchset}: it has {_listed(sorted(patchsets))}",
                hint=f"type review/{ref.number} for the newest one, or review/{ref.number}/{newest}",
            )
        return self._found(ref.number, patchset, patchsets)

    def _known_patchset(self, ref: GerritChange) -> Found | None:
        """A patchset never changes: one that was fetched needs no network. The newest is that of the last fetch."""
        known = self.mirror.known_patchsets(self.remotes.changes, ref.number)
        return self._found(ref.number, ref.patchset, known) if ref.patchset in known else None

    def _found(self, number: int, patchset: int, patchsets: Mapping[int, str]) -> Found:
        return Found(
            patchsets[patchset],
            change_ref(number, patchset),
            self.remotes.changes,
            change=number,
            patchset=patchset,
            newest=max(patchsets),
        )

    def number_of(self, ref: ChangeId) -> int:
        """The one change with a Change-Id: from Gerrit's REST, else by looking through the changes themselves."""
        url = self.remotes.changes
        numbers = gerrit.numbers(self.remotes.rest, self.project, ref.value) if self.remotes.rest else None
        if numbers is None:
            numbers = self.mirror.change_with(url, ref.value)
            if not numbers and not self.mirror.fetch_all_changes(url, most=_FEW_PATCHSETS):
                raise DevswapError(
                    f"cannot look {ref.value} up: no REST answers, and {mask(url)} has too many changes to search",
                    hint="give the change's number: review/N",
                )
            numbers = numbers or self.mirror.change_with(url, ref.value)
        if len(numbers) == 1:
            return numbers[0]
        if not numbers:
            raise DevswapError(
                f"no change of {self.project} on {mask(url)} has {ref.value}", hint="give its number: review/N"
            )
        raise DevswapError(
            f"{ref.value} is the Change-Id of several changes, one per branch it was proposed to",
            hint=f"type one of {', '.join(f'review/{number}' for number in numbers)}",
        )

    def pull_request(self, ref: PullRequest) -> Found:
        name = f"refs/pull/{ref.number}/head"
        self._see_to_tags()
        commit = self.mirror.fetch_one(self.remotes.branches, name, f"pulls/{ref.number}")
        if commit is None:
            raise DevswapError(
                f"pull request {ref.number} does not exist on {mask(self.remotes.branches)}",
                hint="for one of a fork give its address: URL@pr/N; pull requests are refs only on hosts like GitHub",
            )
        return Found(commit, name, self.remotes.branches)

    def named(self, ref: Named) -> Found:
        kind, name = _kind(ref.name)
        known = self._here(kind, name, fresh=False)
        if known is not None:
            return known
        if kind == "other":
            return self._other(name)
        self.mirror.refresh(self.remotes.branches, now=self.now())
        found = self._here(kind, name, fresh=True) or (self._commit(ref) if kind == "any" else None)
        if found is None:
            raise DevswapError(
                f"{ref.name} is no branch, tag or commit of {mask(self.remotes.branches)}", hint=self._near(name)
            )
        return found

    def _here(self, kind: str, name: str, *, fresh: bool) -> Found | None:
        """What the mirror knows: a branch only if it was just asked for, tags and commits stay what they are."""
        url = self.remotes.branches
        heads = self.mirror.refs(url, "heads") if kind in ("heads", "any") else {}
        if name in heads:
            return Found(heads[name], f"refs/heads/{name}", url, branch=name) if fresh else None
        if kind in ("tags", "any") and name in self.mirror.refs(url, "tags"):
            commit = self.mirror.git.commit(self.mirror.kept(url, f"tags/{name}"))
            return Found(commit, f"refs/tags/{name}", url) if commit else None
        if kind == "any" and re.fullmatch(r"[0-9a-f]{40}", name) and self.mirror.git.commit(name) == name:
            return Found(name, name, url)
        return None

    def _commit(self, ref: Named) -> Found | None:
        """A commit by its name: a full one by asking both servers for it, which nobody can be for a short one."""
        if not ref.may_be_commit:
            return None
        if len(ref.name) < 40:
            return self._short(ref.name)
        for url in dict.fromkeys((self.remotes.branches, self.remotes.changes)):
            if self.mirror.fetch_one(url, ref.name, f"commits/{ref.name}"):
                return Found(ref.name, ref.name, url)
        return None

    def _short(self, name: str) -> Found | None:
        """A commit by the beginning of its name: of a branch or tag, of what was fetched before, or of any change."""
        commit = self.mirror.git.commit(name)
        if commit is None and self._fetch_changes_with(name):
            commit = self.mirror.git.commit(name)
        return Found(commit, commit, self.remotes.branches) if commit else None

    def _fetch_changes_with(self, name: str) -> bool:
        """REST knows which changes have such a commit; without it there may be few enough to look through them all."""
        url = self.remotes.changes
        numbers = gerrit.with_commit(self.remotes.rest, self.project, name) if self.remotes.rest else []
        for number in numbers:
            self.mirror.patchsets(url, number)
        return bool(numbers) or self.mirror.fetch_all_changes(url, most=_FEW_PATCHSETS)

    def _other(self, name: str) -> Found:
        self._see_to_tags()
        commit = self.mirror.fetch_one(self.remotes.branches, name, f"other/{name.removeprefix('refs/')}")
        if commit is None:
            raise DevswapError(f"{mask(self.remotes.branches)} has no {name}", hint=self._near(name))
        return Found(commit, name, self.remotes.branches)

    def _see_to_tags(self) -> None:
        url = self.remotes.branches
        fetched = self.mirror.refreshed(url)
        if self.now() - fetched < _TAGS_GO_STALE:
            return
        try:
            self.mirror.refresh(url, now=self.now())
        except DevswapError as error:
            if not fetched:
                raise
            self.mirror.say(f"{error.message}; going on with the branches and tags fetched before")

    def _near(self, name: str) -> str:
        known = [*self.mirror.refs(self.remotes.branches, "heads"), *self.mirror.refs(self.remotes.branches, "tags")]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
        hexadecimal = re.fullmatch(r"[0-9a-f]{7,39}", name)
        if near:
            return f"did you mean {' or '.join(near)}?"
        if hexadecimal:
            return "give all 40 digits: a server can be asked for the whole name only"
        return f"branches there: {_listed(sorted(self.mirror.refs(self.remotes.branches, 'heads')))}"


def _kind(name: str) -> tuple[str, str]:
    if name.startswith("refs/heads/"):
        return "heads", name.removeprefix("refs/heads/")
    if name.startswith("refs/tags/"):
        return "tags", name.removeprefix("refs/tags/")
    if name == "HEAD" or name.startswith("refs/"):
        return "other", name
    return "any", name


def _listed(names: Iterable[object]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:12], "…"]) or "none"
