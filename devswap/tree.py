"""A checkout on the host: an ordinary clone of the invoking user's that borrows the mirror's objects.

A clone and not a worktree, because git-review and others look for hooks and settings in the folder that `git rev-parse
--git-dir` names, and because what the user commits there then lives there, not in a cache. It is moved to another
commit only when nothing in it would be lost; what would be is for the user to keep, and the errors say how.
"""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devswap.errors import CommandFailed, DevswapError
from devswap.git import Git
from devswap.invoker import UserHome
from devswap.mirror import Mirror, as_user
from devswap.resolve import Found, Remotes

_IN_PROGRESS = ("rebase-merge", "rebase-apply", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")


@dataclass(frozen=True)
class Tree:
    """The checkout of one ref; `branch` is the local branch it is on (None: detached, as for a tag or a commit)."""

    home: UserHome
    path: Path
    branch: str | None

    @property
    def git(self) -> Git:
        return Git(self.home, self.path)

    def create(self, found: Found, remotes: Remotes, mirror: Mirror) -> None:
        """Make the checkout; it appears whole or not at all."""
        partial = self.path.with_name(f".{self.path.name}.new")
        making = Tree(self.home, partial, self.branch)
        as_user(self.home, "rm", "-rf", "--", str(partial))
        as_user(self.home, "mkdir", "-p", "--", str(partial))
        making.git.run("init", "--quiet", "--initial-branch", self.branch or "detached")
        as_user(
            self.home, "tee", "--", str(partial / ".git/objects/info/alternates"), text=f"{mirror.path / 'objects'}\n"
        )
        making.add_refs(found, remotes, mirror)
        making.git.run("pack-refs", "--all")
        making._check_out(found.commit)
        making._set_remotes(found, remotes)
        as_user(self.home, "mv", "-T", "--", str(partial), str(self.path))

    def move(self, found: Found, remotes: Remotes, mirror: Mirror) -> None:
        """Bring the checkout to a commit; raises DevswapError, with nothing changed, where that would lose work."""
        self._finish_interrupted()
        self.check_nothing_is_lost()
        self.add_refs(found, remotes, mirror)
        if self.git.commit("HEAD") != found.commit or self._on() != self.branch:
            self._put(found.commit)

    def check_nothing_is_lost(self) -> None:
        """Raise if the tree has edits, or commits that only it has."""
        where = shlex.quote(str(self.path))
        keep = f"keep-{self.path.name}".replace("~", "-")
        for name in _IN_PROGRESS:
            if (self.path / ".git" / name).exists():
                raise DevswapError(
                    f"cannot move {self.path}: a {name.replace('_HEAD', '').split('-')[0].lower()} is under way there",
                    hint=f"finish or abort it first: git -C {where} status",
                )
        edited = (
            Git(self.home, self.path, quiet=True).read("status", "--porcelain", "--untracked-files=no").splitlines()
        )
        if edited:
            raise DevswapError(
                f"cannot move {self.path}: it has edits that are in no commit ({_files(edited)})",
                hint=f"run it as it is: devswap checkout SERVICE {where}; or keep the edits, and try again: "
                f"git -C {where} switch -c {keep} && git -C {where} commit -am 'my edits'; or: git -C {where} stash",
            )
        if lost := self._only_here():
            raise DevswapError(
                f"cannot move {self.path}: it has {len(lost)} commit(s) that no server has ({lost[0]})",
                hint=f"run them: devswap checkout SERVICE {where}; or keep them on a branch, and try again: "
                f"git -C {where} branch {keep}",
            )

    def _only_here(self) -> list[str]:
        """Commits that would hang on nothing but the reflog after a move."""
        ours = [f"--exclude={self.branch}"] if self.branch else []
        heads = ["HEAD", *([f"refs/heads/{self.branch}"] if self.branch and self._has(self.branch) else [])]
        listed = self.git.read(
            "log", "--oneline", *heads, "--not", "--remotes", "--tags", *ours, "--branches", "--alternate-refs", "--"
        )
        return listed.splitlines()

    def _has(self, branch: str) -> bool:
        return self.git.commit(f"refs/heads/{branch}") is not None

    def _on(self) -> str | None:
        return self.git.run("symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1)).stdout.strip() or None

    def _put(self, commit: str) -> None:
        """Check a commit out. What is being done is noted first, so that a half-written tree is not taken for edits."""
        self.git.run("config", "devswap.moving", commit)
        try:
            self._check_out(commit)
        except DevswapError:
            self.git.run("config", "--unset-all", "devswap.moving", ok=(0, 5))
            raise
        self.git.run("config", "--unset-all", "devswap.moving")

    def _check_out(self, commit: str) -> None:
        where = ["--no-track", "-B", self.branch] if self.branch else ["--detach"]
        try:
            self.git.run("checkout", "--quiet", *where, commit, "--")
        except CommandFailed as error:
            said = error.result.stderr.strip()
            lock = self.path / ".git/index.lock"
            hint = f"if no git is running there: rm {shlex.quote(str(lock))}" if "index.lock" in said else None
            raise DevswapError(f"cannot check {commit[:12]} out in {self.path}: {said}", hint=hint) from error

    def _finish_interrupted(self) -> None:
        """Complete a checkout that was killed half way, if every file is as one of the two commits has it."""
        moving = self.git.run("config", "--get", "devswap.moving", ok=(0, 1)).stdout.strip()
        if not moving:
            return
        lock = self.path / ".git/index.lock"
        if lock.exists():
            as_user(self.home, "rm", "-f", "--", str(lock))
        neither = self._differing("HEAD") & self._differing(moving)
        if not neither:
            self.git.run("checkout", "--quiet", "--force", "--detach", moving, "--")
            self._put(moving)
        self.git.run("config", "--unset-all", "devswap.moving", ok=(0, 5))

    def _differing(self, commit: str) -> set[str]:
        return set(
            self.git.read("diff", "--name-only", "--no-ext-diff", "--no-renames", "-z", commit, "--").split("\0")
        ) - {""}

    def add_refs(self, found: Found, remotes: Remotes, mirror: Mirror) -> None:
        """Give the checkout the branches and tags that it lacks, and the newest state of the branch it is made from."""
        have = set(self.git.read("for-each-ref", "--format=%(refname)").splitlines())
        base = mirror.refs(remotes.branches, "heads")
        tags = mirror.refs(found.url, "tags") | mirror.refs(remotes.branches, "tags")
        # gerrit's too: git-review counts the commits that are on none of them
        wanted = {f"refs/remotes/{at}/{name}": commit for at in ("origin", "gerrit") for name, commit in base.items()}
        wanted |= {f"refs/tags/{name}": tag for name, tag in tags.items()}
        new = [f"create {name} {target}" for name, target in wanted.items() if name not in have]
        if found.branch:
            remote = "origin" if found.url == remotes.branches else "fork"
            tracked = f"refs/remotes/{remote}/{found.branch}"
            new = [line for line in new if line.split()[1] != tracked]
            new.append(f"update {tracked} {found.commit}")
        self.git.run("update-ref", "--stdin", lines="".join(f"{line}\n" for line in new))

    def _set_remotes(self, found: Found, remotes: Remotes) -> None:
        """origin, gerrit (read from the changes' address, pushed to as .gitreview says), and the fork if it is one."""
        named = {"origin": remotes.branches, "gerrit": remotes.changes}
        if found.url not in named.values():
            named["fork"] = found.url
        settings = {
            f'remote "{name}"': {
                "url": url,
                "fetch": f"+refs/heads/*:refs/remotes/{name}/*",
                # what the mirror left out for later, git fetches from any of them when it needs it
                "partialCloneFilter": "blob:none",
                "promisor": "true",
            }
            for name, url in named.items()
        }
        review = gitreview(self.git, found.commit)
        push = review_address(review, self._gerrit_account())
        if push:
            settings['remote "gerrit"']["pushUrl"] = push
        target = found.branch or _target_branch(review)
        remote = "fork" if found.branch and "fork" in named else "origin"
        if self.branch and target:
            settings[f"branch {_quoted(self.branch)}"] = {"remote": remote, "merge": f"refs/heads/{target}"}
        # Once, not a git for each of them
        as_user(self.home, "tee", "-a", "--", str(self.path / ".git/config"), text=_config(settings))

    def _gerrit_account(self) -> str | None:
        return self.git.run("config", "--get", "gitreview.username", ok=(0, 1)).stdout.strip() or None


def gitreview(git: Git, commit: str) -> dict[str, str]:
    """The [gerrit] section of a commit's .gitreview; empty where there is none."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        settings.read_string(git.run("show", f"{commit}:.gitreview", ok=(0, 128)).stdout)
    except configparser.Error:
        return {}
    return dict(settings["gerrit"]) if settings.has_section("gerrit") else {}


def target_branch(git: Git, commit: str) -> str | None:
    """The branch a commit is meant for, as git-review sees it: .gitreview's defaultbranch, or master."""
    return _target_branch(gitreview(git, commit))


def _target_branch(review: Mapping[str, str]) -> str | None:
    return review.get("defaultbranch", "master") if review else None


def _config(sections: Mapping[str, Mapping[str, str]]) -> str:
    """In the words of git-config(1)."""
    lines = []
    for section, settings in sections.items():
        lines += [f"[{section}]", *(f"\t{name} = {_quoted(value)}" for name, value in settings.items())]
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def review_address(settings: dict[str, str], account: str | None) -> str | None:
    """Where `git review` pushes."""
    if not {"host", "project"} <= settings.keys():
        return None
    user = f"{account}@" if account else ""
    return f"ssh://{user}{settings['host']}:{settings.get('port', '29418')}/{settings['project']}"


def _files(porcelain: Iterable[str]) -> str:
    names = [line[3:] for line in porcelain]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
