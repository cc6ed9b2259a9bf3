"""Runs git as the invoking user, so that nothing in a repository can make it run something as root.

Plain git through process.py: a Python binding would run it as us, and costs more to import than most of these commands.
For our own commands hooks and file system monitors are off; the user's commands in the same repository have theirs.
"""

from __future__ import annotations

import os
import re
import select
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from devswap import process
from devswap.errors import CommandFailed, CommandTimeout, DevswapError
from devswap.invoker import UserHome
from devswap.masking import mask

_OPTIONS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "protocol.version": "2",
    "protocol.ext.allow": "never",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "advice.detachedHead": "false",
}
# With this, what a partial clone lacks is an error at once, and not fetched from the network behind our back.
_OFFLINE = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
_LOCAL_SECONDS = 120.0
# git reports progress several times a second while anything arrives; this long without is a network that is gone
_SILENT_SECONDS = 60.0
_SAY_EVERY = 2.0
_PROGRESS = re.compile(r"(?:remote: )?(?P<what>[A-Z][\w ]+): +(?P<percent>\d+)%")


@dataclass(frozen=True)
class Git:
    """git in one repository; `extra` are further -c options. `quiet`: not even the index is brought up to date."""

    home: UserHome
    folder: Path
    extra: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    quiet: bool = False

    def run(self, *argv: str, ok: Collection[int] = (0,), lines: str | None = None) -> process.Result:
        """A command that needs no network; `lines` is its standard input."""
        return process.run(
            [*self._command(), *argv],
            ok=ok,
            input=lines,
            env={**self._environment(), **_OFFLINE},
            cwd="/",
            timeout=_LOCAL_SECONDS,
            identity=self.home.identity,
        )

    def read(self, *argv: str) -> str:
        """What a command prints, without the newline at its end."""
        return self.run(*argv).stdout.rstrip("\n")

    def commit(self, name: str) -> str | None:
        """The full name of the commit that `name` stands for here, if it is here."""
        found = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", ok=(0, 1, 128))
        return found.stdout.strip() or None if found.code == 0 else None

    def fetch(self, argv: Sequence[str], *, lock: Path, say: Callable[[str], None], lines: str | None = None) -> None:
        """`git fetch` with `argv` while no other devswap fetches here; raises CommandFailed, CommandTimeout.

        flock(1) hands the lock to git itself, so that it is held exactly as long as git runs, whatever becomes of us.
        """
        held = ["flock", "--no-fork", "--wait", "600", "--conflict-exit-code", "75", str(lock)]
        run = [*held, *self._command(), "fetch", "--progress", "--no-write-fetch-head", *argv]
        _follow(run, self.home, self._environment(), say, lines)

    def _command(self) -> list[str]:
        options: Mapping[str, str | Sequence[str]] = {**_OPTIONS, **self.extra}
        several = ((name, [value] if isinstance(value, str) else value) for name, value in options.items())
        given = [part for name, values in several for value in values for part in ("-c", f"{name}={value}")]
        return ["git", *given, "-C", str(self.folder)]

    def _environment(self) -> dict[str, str]:
        return {
            **self.home.environment(),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=15",
            "GIT_PAGER": "cat",
            **({"GIT_OPTIONAL_LOCKS": "0"} if self.quiet else {}),
        }


def of_checkout(home: UserHome, folder: Path) -> Git:
    """git in a checkout that is only looked at; raises DevswapError for one that is neither theirs nor root's.

    Its filters run with every look at its files: as whoever looks. Root's trees are trusted here, while git itself
    would refuse them to anyone else.
    """
    home.check_owner(folder)
    return Git(home, folder, {"safe.directory": "*"}, quiet=True)


def _follow(
    argv: Sequence[str], home: UserHome, environment: Mapping[str, str], say: Callable[[str], None], lines: str | None
) -> None:
    """Run `argv` to its end, saying its progress now and then; ended when nothing was heard for _SILENT_SECONDS."""
    started = process.popen(
        argv,
        stdin=process.PIPE,
        stdout=process.DEVNULL,
        stderr=process.PIPE,
        env=environment,
        cwd="/",
        identity=home.identity,
    )
    with started as running:
        try:
            if running.stdin is not None:
                running.stdin.write((lines or "").encode())
                running.stdin.close()
            heard = _listen(running, say)
            code = running.wait(timeout=_SILENT_SECONDS)
        except BaseException:
            with suppress(ProcessLookupError):  # with what git has started for it, which holds the lock as well
                os.killpg(running.pid, signal.SIGKILL)
            raise
    result = process.Result(tuple(argv), code, "", heard)
    if code != 0:
        raise CommandFailed(f"git fetch failed with {code}: {result.tail}", result=result)


def _listen(running: process.Popen[bytes], say: Callable[[str], None]) -> str:
    """All that is written to standard error but progress; raises CommandTimeout after a long silence."""
    if running.stderr is None:
        raise ValueError("the process has no pipe for its errors")
    source = running.stderr.fileno()
    heard: list[str] = []
    rest, last = "", time.monotonic()
    while True:
        if not select.select([source], [], [], _SILENT_SECONDS)[0]:
            silent = process.Result(tuple(str(part) for part in running.args), -9, "", "\n".join(heard))  # type: ignore[union-attr]
            raise CommandTimeout(f"nothing was heard for {_SILENT_SECONDS:.0f} s", result=silent)
        chunk = os.read(source, 65536)
        *whole, rest = re.split(r"[\r\n]+", rest + chunk.decode(errors="replace"))
        for line in [*whole, *([rest] if not chunk else [])]:
            progress = _PROGRESS.match(line)
            if not progress:
                heard.append(line)
            elif time.monotonic() - last >= _SAY_EVERY:
                last = time.monotonic()
                say(f"{progress['what'].lower()}: {progress['percent']} %")
        if not chunk:
            return "\n".join(heard)


_UNREACHABLE = re.compile(
    r"could not resolve|couldn't resolve|unable to connect|unable to access|connection (?:refused|reset|timed out)|"
    r"network is unreachable|no route to host|timed out|operation too slow|early eof|hung up|unable to look up|"
    r"could not read from remote|ssl|certificate|rpc failed|connect to host",
    re.IGNORECASE,
)
_NOT_A_REPOSITORY = re.compile(
    r"does not appear to be a git repository|not exported|repository .*not found|not a git repository|"
    r"error: 404|unable to find remote helper|not valid: is this a git repository",
    re.IGNORECASE,
)
_NEEDS_ACCOUNT = re.compile(
    r"authentication failed|terminal prompts disabled|permission denied \(|error: 40[13]", re.IGNORECASE
)
_NO_SPACE = re.compile(r"no space left|disk quota exceeded", re.IGNORECASE)
# A server that refuses what it is asked may close before its reason is read, which then comes at the second time.
LOST = re.compile("broken pipe|connection reset|hung up unexpectedly|early eof|unexpected disconnect", re.IGNORECASE)
NO_SUCH_REF = re.compile(
    r"couldn't find remote ref|not our ref|no such remote ref|does not allow request for unadvertised", re.IGNORECASE
)


THEIRS = re.compile(r"^remote: (?:fatal|error): (.*)", re.MULTILINE)
"""What the server itself complains of."""


def _why(said: str) -> str:
    """The server's complaint, or git's last one; one that ends with a colon has its reason on the line below."""
    if theirs := THEIRS.search(said):
        return mask(f"the server says: {theirs[1].strip()}")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    found = [(line, *lines[at + 1 : at + 2]) for at, line in enumerate(lines) if re.match(r"(fatal|error|ssh)\b", line)]
    why = " ".join(found[-1] if found[-1][0].endswith(":") else found[-1][:1]) if found else ""
    return mask(re.sub(r"^(?:fatal|error): (?:remote error: )?", "", why))


def explained(error: CommandFailed, *, url: str, folder: Path) -> DevswapError:
    """A failed fetch in the user's words."""
    said = error.result.stderr
    shown = mask(url)
    why = _why(said) or error.message
    again = "see that the address is right and the network is up, or name another one with --remote URL"
    if _NO_SPACE.search(said):
        return DevswapError(f"cannot fetch into {folder}: no space left", hint=f"make room there: df -h {folder}")
    if error.result.code == 75 and not said:
        return DevswapError(
            f"cannot fetch from {shown}: another devswap has been fetching into {folder} for 10 minutes"
        )
    if isinstance(error, CommandTimeout):
        return DevswapError(f"cannot reach {shown}: {error.message}", hint=again)
    if _NOT_A_REPOSITORY.search(said):
        return DevswapError(f"cannot fetch from {shown}: it is not a git repository ({why})", hint=again)
    if _NEEDS_ACCOUNT.search(said):
        return DevswapError(
            f"cannot fetch from {shown}: it asks for an account ({why})",
            hint=f"let git know the account first: git ls-remote {shown}",
        )
    if _UNREACHABLE.search(said) and not THEIRS.search(said):
        return DevswapError(f"cannot reach {shown}: {why}", hint=again)
    return DevswapError(f"cannot fetch from {shown}: {why}", hint=again)
