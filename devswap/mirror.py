"""One bare repository per project that holds every object ever fetched for it, whatever server it came from.

Checkouts borrow its objects, so the second ref costs a fetch of the difference. It is a partial clone where the server
allows one: file contents arrive when a commit is checked out. Refs are kept apart by server (refs/sources/KEY/…), no
object is ever pruned from it, and deleting it loses no one's work: only what servers have is in it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from devswap import process
from devswap.errors import CommandFailed, DevswapError
from devswap.git import LOST, NO_SUCH_REF, THEIRS, Git, explained
from devswap.invoker import UserHome
from devswap.masking import mask
from devswap.refs import change_ref

_SECONDS = 60.0


@dataclass(frozen=True)
class Mirror:
    git: Git
    say: Callable[[str], None]

    @property
    def path(self) -> Path:
        return self.git.folder

    def refs(self, url: str, kind: str) -> dict[str, str]:
        """What was fetched of a kind (heads, tags, changes …) from a server: {name below the kind: object}."""
        prefix = f"refs/sources/{key(url)}/{kind}/"
        listed = self.git.read("for-each-ref", "--format=%(objectname) %(refname)", prefix)
        return {
            name.removeprefix(prefix): found for found, name in (line.split(" ", 1) for line in listed.splitlines())
        }

    def kept(self, url: str, name: str) -> str:
        """The ref under which the mirror keeps what a server calls refs/`name`."""
        return f"refs/sources/{key(url)}/{name}"

    def refreshed(self, url: str) -> float:
        """When branches and tags of a server were last fetched, in seconds since 1970; 0: never."""
        return float(self.git.run("config", "--get", f"remote.{key(url)}.devswapFetched", ok=(0, 1)).stdout or 0)

    def refresh(self, url: str, *, now: float) -> None:
        """Fetch all branches and tags."""
        source = self._source(url)
        self.say(f"fetching branches and tags from {url}")
        self._fetch(
            url,
            "--prune",
            source,
            f"+refs/heads/*:refs/sources/{source}/heads/*",
            f"+refs/tags/*:refs/sources/{source}/tags/*",
        )
        self.git.run("config", f"remote.{source}.devswapFetched", str(int(now)))

    def patchsets(self, url: str, number: int) -> dict[int, str]:
        """Fetch all patchsets of a change, {patchset: commit}; the server sends only this change's refs (protocol v2).

        Unfiltered: what is new in a change may be on no other server than this one.
        """
        source = self._source(url)
        ref = change_ref(number, None)
        below = ref.removeprefix("refs/changes/")
        self.say(f"fetching change {number} from {url}")
        kept = f"refs/sources/{source}/changes/{below}"
        self._fetch(url, "--no-filter", "--prune", source, f"+{ref}/*:{kept}/*", f"^{ref}/meta")
        return self.known_patchsets(url, number)

    def known_patchsets(self, url: str, number: int) -> dict[int, str]:
        """Those that were fetched before."""
        found = self.refs(url, change_ref(number, None).removeprefix("refs/"))
        return {int(name): commit for name, commit in found.items() if name.isdecimal()}

    def change_with(self, url: str, change_id: str) -> list[int]:
        """The numbers of all fetched changes whose commits carry a Change-Id."""
        kept = f"refs/sources/{key(url)}/changes/"
        listed = self.git.read("for-each-ref", "--format=%(refname)%00%(contents)%01", kept)
        footer = re.compile(rf"^Change-Id: {change_id}\s*$", re.MULTILINE)
        found = (entry.partition("\0") for entry in listed.split("\x01"))
        return sorted({int(name.split("/")[-2]) for name, _, text in found if name and footer.search(text)})

    def fetch_all_changes(self, url: str, *, most: int) -> bool:
        """Fetch every patchset there is; False where there are more than about `most`.

        Tells by asking for one change in a hundred: they are kept below the last two digits of their numbers.
        """
        source = self._source(url)
        self.say(f"looking through all changes on {url}")
        kept = f"refs/sources/{source}/changes"
        self._fetch(url, source, f"+refs/changes/01/*:{kept}/01/*")
        if len(self.refs(url, "changes/01")) * 100 > most:
            return False
        self._fetch(url, source, f"+refs/changes/*:{kept}/*")
        return True

    def fetch_one(self, url: str, ref: str, kept: str) -> str | None:
        """Fetch one ref or commit by its full name, and return its commit; None if the server has no such."""
        source = self._source(url)
        self.say(f"fetching {ref} from {url}")
        try:
            self._fetch(url, source, f"+{ref}:refs/sources/{source}/{kept}")
        except _NoSuchRef:
            return None
        return self.git.commit(f"refs/sources/{source}/{kept}")

    def complete(self, commit: str, urls: Sequence[str]) -> None:
        """See that the contents of all files of a commit are here, so that checking it out needs no network."""
        for url in dict.fromkeys(urls):
            listed = self.git.read("rev-list", "--objects", "--no-walk", "--missing=print", commit, "--")
            missing = [line[1:] for line in listed.splitlines() if line.startswith("?")]
            if not missing:
                return
            self.say(f"fetching the contents of {len(missing)} file(s) from {url}")
            alone = Git(self.git.home, self.git.folder, {"fetch.negotiationAlgorithm": "noop"})
            source = self._source(url)
            try:
                self._fetch(url, "--filter=blob:none", source, "--stdin", lines="\n".join(missing) + "\n", git=alone)
            except _NoSuchRef:
                continue  # the next server is the one that has it
        if "?" in self.git.read(
            "rev-list", "--objects", "--no-walk", "--missing=print", "--no-object-names", commit, "--"
        ):
            raise DevswapError(f"cannot check out {commit[:12]}: no server of the project has all of its files")

    def _fetch(self, url: str, *argv: str, lines: str | None = None, git: Git | None = None) -> None:
        git = self._asking_only(url, git or self.git)
        for last in (False, True):
            try:
                git.fetch(["--no-tags", *argv], lock=self.path.with_suffix(".lock"), say=self.say, lines=lines)
            except CommandFailed as error:
                said = error.result.stderr
                if not last and LOST.search(said) and not THEIRS.search(said):
                    self.say(f"the connection to {url} was lost: fetching once more")
                    continue
                if NO_SUCH_REF.search(said):
                    raise _NoSuchRef(error.message) from error
                raise explained(error, url=url, folder=self.path) from error
            return

    def _asking_only(self, url: str, git: Git) -> Git:
        """git asks every server that was ever used for what it finds missing, and one of them may be gone for good."""
        listed = self.git.run("config", "--get-regexp", r"^remote\..*\.url$", ok=(0, 1)).stdout.splitlines()
        others = [other for _, _, other in (line.partition(" ") for line in listed) if other != url]
        return replace(git, extra={**git.extra, f"url.{url}.insteadOf": others}) if others and "=" not in url else git

    def _source(self, url: str) -> str:
        """The remote that stands for a server here; its settings say that file contents may be left for later."""
        name = key(url)
        if self.git.run("config", "--get", f"remote.{name}.promisor", ok=(0, 1)).code == 1:
            self.git.run("config", f"remote.{name}.url", url)
            self.git.run("config", f"remote.{name}.partialCloneFilter", "blob:none")
            self.git.run("config", f"remote.{name}.promisor", "true")
        return name


class _NoSuchRef(DevswapError):
    pass


def key(url: str) -> str:
    """The short name of a server's repository in a mirror."""
    return hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:8]


def open_mirror(project: str, *, cache: Path, home: UserHome, say: Callable[[str], None]) -> Mirror:
    """The mirror of a project, made if there is none, and freed of what an interrupted fetch left."""
    path = cache / f"{project}.git"
    home.check_owner(path)
    mirror = Mirror(Git(home, path), lambda line: say(mask(line)))
    if not path.exists():
        partial = cache / f".{project}.{os.getpid()}.git"
        as_user(home, "mkdir", "-p", "--", str(partial))
        Git(home, partial).run("init", "--quiet", "--bare", "--template=", "--initial-branch=none")
        as_user(home, "mv", "-T", "--", str(partial), str(path))
    elif not (path / "HEAD").is_file():
        raise DevswapError(f"cannot use {path}: it is not a git repository", hint=f"move it away: mv {path} {path}.old")
    else:
        _clear_leftovers(mirror)
    return mirror


def lock_of(project: str, *, cache: Path, home: UserHome) -> Path:
    """The file that whoever works on a project's mirror and checkouts locks first."""
    path = cache / f".{project}.turn"
    home.check_owner(path)
    if not path.exists():
        as_user(home, "mkdir", "-p", "--", str(cache))
        as_user(home, "touch", "--", str(path))
    return path


def _clear_leftovers(mirror: Mirror) -> None:
    """Remove the lock files and half packs of a git that was killed: while the lock is ours none is running."""
    path, lock = str(mirror.path), str(mirror.path.with_suffix(".lock"))
    old = ["find", path, "-type", "f", "(", "-name", "*.lock", "-o", "-name", "tmp_*", ")", "-delete"]
    process.run(
        ["flock", "--no-fork", "--nonblock", "--conflict-exit-code", "75", lock, *old],
        ok=(0, 75),  # 75: another devswap fetches here, so nothing is left over
        env=mirror.git.home.environment(),
        cwd="/",
        timeout=_SECONDS,
        identity=mirror.git.home.identity,
    )


def as_user(home: UserHome, *argv: str, text: str | None = None) -> None:
    """A file command as the invoking user, whose files must be theirs from the start."""
    try:
        process.run(argv, input=text, env=home.environment(), cwd="/", timeout=_SECONDS, identity=home.identity)
    except CommandFailed as error:
        said = error.result.stderr.strip()
        if "No space left" in said or "quota" in said:
            raise DevswapError(f"cannot write below {home.folder}: no space left", hint=f"df -h {home.home}") from error
        raise DevswapError(f"cannot write below {home.folder} as {home.user}: {said}") from error
