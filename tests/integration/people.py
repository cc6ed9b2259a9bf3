"""People who use devswap on this host: accounts with homes of their own, who type commands through sudo."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pexpect

from tests.integration.cloud import Cloud, Ran

Environment = Mapping[str, str]
PLAIN: Environment = MappingProxyType({})
PROGRAM = str(Path(sys.executable).with_name("devswap"))


@dataclass(frozen=True)
class Person:
    """Somebody with an account; `devswap` is their `sudo devswap`."""

    name: str

    @property
    def home(self) -> Path:
        return Path(pwd.getpwnam(self.name).pw_dir)

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.name).pw_uid

    def sudo(self) -> dict[str, str]:
        """What sudo leaves of the environment, and tells of who typed it."""
        entry = pwd.getpwnam(self.name)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SUDO_", "DEVSWAP_"))}
        return {**kept, "SUDO_UID": str(entry.pw_uid), "SUDO_GID": str(entry.pw_gid), "SUDO_USER": self.name}

    def run(self, *argv: str, cwd: Path | None = None) -> str:
        """A command of theirs without sudo: git, an editor."""
        entry = pwd.getpwnam(self.name)
        ended = subprocess.run(
            argv,
            cwd=cwd or self.home,
            user=entry.pw_uid,
            group=entry.pw_gid,
            extra_groups=[],
            env={"HOME": entry.pw_dir, "USER": self.name, "PATH": os.environ["PATH"], "GIT_EDITOR": "true"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{argv}: {ended.stdout}{ended.stderr}"
        return ended.stdout.strip()

    def checkout(self, name: str, project: str = "heat") -> Path:
        return self.home / ".local/share/devswap/checkouts" / project / name


@dataclass(frozen=True)
class Desk:
    """A person at work on one cloud: commands with that cloud's addresses, and its machine where one must be said."""

    cloud: Cloud
    person: Person

    def environment(self, more: Environment = PLAIN) -> dict[str, str]:
        state = {name: value for name, value in os.environ.items() if name == "DEVSWAP_STATE_DIR"}
        sources = {"DEVSWAP_BRANCHES_URL": self.cloud.git, "DEVSWAP_CHANGES_URL": self.cloud.git}
        return {**self.person.sudo(), **state, **sources, **more}

    def devswap(self, *argv: str, code: int = 0, cwd: Path | None = None, environment: Environment = PLAIN) -> Ran:
        """Run to the end, and hold its exit code against `code`."""
        with self.start(*argv, cwd=cwd, environment=environment) as process:
            out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"devswap {' '.join(argv)} ended with {process.returncode}:\n{out}{err}"
        return Ran(process.returncode, out, err)

    def start(
        self, *argv: str, cwd: Path | None = None, feed: str = "", environment: Environment = PLAIN
    ) -> subprocess.Popen[str]:
        """In a session of its own, without a terminal; `feed` is what it can read from its standard input."""
        with tempfile.TemporaryFile("w+") as given:
            given.write(feed)
            given.seek(0)
            return subprocess.Popen(
                [PROGRAM, *argv],
                env=self.environment(environment),
                cwd=cwd,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def checkout(self, ref: str, *argv: str, code: int = 0) -> Ran:
        """Take heat-engine over in the background."""
        line = ("checkout", "heat-engine", ref, "--machine", self.cloud.heat, "--detach", *argv)
        return self.devswap(*line, code=code)

    def take(self, purpose: str, *argv: str, code: int = 0) -> Ran:
        """Take heat-engine over with the newest patchset of a change."""
        return self.checkout(f"review/{self.cloud.change(purpose).number}", *argv, code=code)

    def restore(self, *argv: str, code: int = 0) -> Ran:
        return self.devswap("restore", "heat-engine", *argv, code=code)

    def own_tree(self, name: str) -> Path:
        """A fresh clone of what production runs, in the person's home, for them to edit."""
        release = self.cloud.release()
        folder = self.person.home / "src" / name
        self.person.run("mkdir", "-p", str(folder.parent))
        self.person.run("rm", "-rf", str(folder))
        self.person.run("git", "clone", "--quiet", "--branch", release, f"{self.cloud.git}/heat", str(folder))
        return folder

    def edit(self, path: Path, old: str, new: str) -> None:
        """As their editor does: the file stays theirs."""
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path}"
        path.write_text(text.replace(old, new))

    def terminal(self, *argv: str, rows: int = 24, columns: int = 80) -> pexpect.spawn[str]:
        """devswap on a real terminal. What it shows is kept in `.logfile_read` by whoever wants it."""
        return self._spawn(PROGRAM, *argv, rows=rows, columns=columns)

    def shell(self) -> pexpect.spawn[str]:
        """A shell on a terminal, as devswap is usually started from."""
        return self._spawn("bash", "--norc", "--noprofile", rows=24, columns=80)

    def _spawn(self, program: str, *argv: str, rows: int, columns: int) -> pexpect.spawn[str]:
        env: Any = {**self.environment(), "TERM": "xterm"}
        return pexpect.spawn(
            program,
            list(argv),
            env=env,
            dimensions=(rows, columns),
            encoding="utf-8",
            codec_errors="replace",
            timeout=90,
        )


def seen(terminal: pexpect.spawn[str]) -> str:
    """The group in what was last waited for."""
    assert isinstance(terminal.match, re.Match)
    return str(terminal.match.group(1))
