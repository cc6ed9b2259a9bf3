"""What a person types for REF, and what it means: text in, a frozen dataclass out; nothing is looked up here.

review/123 · review/123/4 · refs/changes/23/123/4 · a Gerrit URL      GerritChange
I0123…                                                                 ChangeId
branch · tag · commit · refs/heads/x                                   Named
pr/12                                                                  PullRequest
URL@REF · https://host/owner/repo/pull/12                              Fork
. · ./x · ../x · /x · ~/x                                              OwnTree
"""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from dataclasses import dataclass

from devswap.errors import UsageError

FORMS = "a branch, tag or commit, review/N, review/N/PATCHSET, a Gerrit URL, a Change-Id, pr/N, URL@REF, or a path"


@dataclass(frozen=True)
class GerritChange:
    """A change under review; without a patchset the newest one is meant. `project` is known only from a URL."""

    number: int
    patchset: int | None = None
    project: str | None = None


@dataclass(frozen=True)
class ChangeId:
    """The footer that stays the same over all patchsets; which change has it is for the server to say."""

    value: str


@dataclass(frozen=True)
class PullRequest:
    number: int


@dataclass(frozen=True)
class Named:
    """A branch, a tag or a commit: which one, only the repository knows."""

    name: str

    @property
    def may_be_commit(self) -> bool:
        return re.fullmatch(r"[0-9a-f]{7,40}", self.name) is not None


@dataclass(frozen=True)
class Fork:
    """A ref of another repository than the project's own."""

    url: str
    inside: GerritChange | PullRequest | Named


@dataclass(frozen=True)
class OwnTree:
    """A path as typed; `~` is the invoking user's."""

    path: str


RemoteRef = GerritChange | ChangeId | PullRequest | Named
Ref = RemoteRef | Fork | OwnTree

_NUMBER = r"[1-9]\d{0,9}"
_REVIEW = re.compile(rf"review/({_NUMBER})(?:/({_NUMBER}))?")
_CHANGE_REF = re.compile(rf"refs/changes/(\d\d)/({_NUMBER})(?:/({_NUMBER}))?")
_CHANGE_ID = re.compile(r"I[0-9a-f]{40}")
_PULL = re.compile(rf"(?:pr|pull)/({_NUMBER})(?:/head)?")
# Gerrit's own pages: /c/PROJECT/+/N/P/file, the same without /c, /N/P, and the old /#/c/N/P; P may be a range "3..4"
_GERRIT_PATH = re.compile(
    rf"(?:(?:/c)?|(?:\S*?/c)?/(?P<project>\S+?)/\+)/(?P<number>{_NUMBER})"
    rf"(?:/(?:\w+\.\.)?(?P<patchset>{_NUMBER}))?(?:/.*)?"
)
_PULL_PATH = re.compile(rf"(?P<repository>/.+?)/pull/(?P<number>{_NUMBER})(?:/.*)?")
_URL = re.compile(r"(?:https?|ssh|git|git\+ssh|file)://\S+", re.IGNORECASE)
# what ssh takes for host and path; a Windows drive or a bare name before the colon is not one
_SCP = re.compile(r"(?:[\w.-]+@)?[\w-]+(?:\.[\w-]+)+:[^@\s]+@\S+|[\w.-]+@[\w.-]+:[^@\s]+@\S+")
# git check-ref-format(1)
_NO_REF_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|[/.]$|^[/.@]$")


def parse(text: str) -> Ref:
    """The meaning of `text`; raises UsageError for what can be no REF, and for all that begins with a dash."""
    if not text or text.startswith("-") or re.search(r"[\x00-\x1f\x7f]", text):
        raise UsageError(f"{text!r} is no REF", hint=f"give {FORMS}")
    if text in (".", "..", "~") or text.startswith(("./", "../", "/", "~/")):
        return OwnTree(text)
    if _URL.fullmatch(text):
        return _from_url(text)
    if _SCP.fullmatch(text):
        host, _, path = text.partition(":")
        path, _, ref = path.partition("@")
        return Fork(f"{host}:{path}", _inside(ref, text))
    return _plain(text)


def _plain(text: str) -> RemoteRef:
    if found := _REVIEW.fullmatch(text):
        return GerritChange(int(found[1]), _optional(found[2]))
    if found := _CHANGE_REF.fullmatch(text):
        change = GerritChange(int(found[2]), _optional(found[3]))
        if int(found[1]) != change.number % 100:
            raise UsageError(
                f"{text} is no change: its folder is the last two digits of its number",
                hint=f"did you mean {change_ref(change.number, change.patchset)}?",
            )
        return change
    if _CHANGE_ID.fullmatch(text):
        return ChangeId(text)
    if found := _PULL.fullmatch(text):
        return PullRequest(int(found[1]))
    if _NO_REF_NAME.search(text) or any(part.startswith("-") for part in text.split("/")):
        raise UsageError(f"{text!r} is no REF: git allows no such name", hint=f"give {FORMS}")
    return Named(text)


def _from_url(text: str) -> Ref:
    parts = urllib.parse.urlsplit(text)
    path = urllib.parse.unquote(parts.path)
    fragment = urllib.parse.unquote(parts.fragment)
    base = f"{parts.scheme}://{parts.netloc}"
    repository, at, ref = path.partition("@")
    if at and "/+/" not in path:
        return Fork(base + repository, _inside(ref, text))
    if parts.scheme.lower() in ("http", "https"):
        if found := _PULL_PATH.fullmatch(path):
            return Fork(base + found["repository"], PullRequest(int(found["number"])))
        if found := _GERRIT_PATH.fullmatch(fragment if fragment.startswith("/c/") else path):
            return GerritChange(int(found["number"]), _optional(found["patchset"]), found["project"])
    raise UsageError(
        f"{text} names no ref: it is neither a change nor a pull request",
        hint=f"add the branch, tag or commit: {base}{path}@BRANCH",
    )


def _inside(ref: str, text: str) -> GerritChange | PullRequest | Named:
    found = parse(ref)
    if isinstance(found, GerritChange | PullRequest | Named):
        return found
    raise UsageError(f"cannot read {text!r}: after the @ comes a branch, tag, commit, review/N or pr/N")


def _optional(number: str | None) -> int | None:
    return int(number) if number else None


def is_patchset(ref: Ref) -> bool:
    """Whether it names one patchset, and not the newest of a change."""
    return isinstance(ref, GerritChange) and ref.patchset is not None


def change_ref(number: int, patchset: int | None) -> str:
    """Where Gerrit keeps a patchset (refs/changes/23/123/4), or all of a change (refs/changes/23/123)."""
    ref = f"refs/changes/{number % 100:02d}/{number}"
    return ref if patchset is None else f"{ref}/{patchset}"


def slug(ref: Ref) -> str:
    """The name of a ref's folder, one for each ref: `~` stands for the slash, because no ref may hold a `~`."""
    if isinstance(ref, GerritChange):
        return "~".join(["review", str(ref.number), *([str(ref.patchset)] if ref.patchset else [])])
    if isinstance(ref, ChangeId):
        return ref.value
    if isinstance(ref, PullRequest):
        return f"pr~{ref.number}"
    if isinstance(ref, Named):
        return _short(re.sub(r"[^\w.+=@,-]", _escaped, ref.name))
    if isinstance(ref, Fork):
        readable = re.sub(r"\.git$", "", "~".join(re.split(r"[/:]+", ref.url)[-2:]))
        return _short(f"{re.sub(r'[^A-Za-z0-9_.~-]', '', readable)}~{slug(ref.inside)}~{_digest(ref.url)}")
    raise ValueError(f"a path has no folder of its own: {ref.path}")


def _escaped(found: re.Match[str]) -> str:
    return "~" if found[0] == "/" else f"~~{ord(found[0]):x}~"


def _short(name: str) -> str:
    """Folder names end at 255 bytes, and more is appended to ours."""
    return name if len(name.encode()) <= 150 else f"{name.encode()[:120].decode(errors='ignore')}~{_digest(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Dependency:
    """What a Depends-On footer names; `url` as written there."""

    url: str
    ref: Ref


def depends_on(message: str) -> list[Dependency]:
    """The Depends-On footers of a commit message in their order, each once, as Zuul reads them: anywhere, in any case.

    Raises UsageError for a footer that names no change.
    """
    found = re.findall(r"^Depends-On:[ \t]*(\S+)[ \t]*$", message, re.MULTILINE | re.IGNORECASE)
    return [Dependency(url, parse(url)) for url in dict.fromkeys(found)]
