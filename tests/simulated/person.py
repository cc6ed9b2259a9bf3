"""Somebody at the simulated host, who types what devswap has told them to type."""

from __future__ import annotations

import importlib
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
import typer

from devswap import session
from devswap.errors import DevswapError
from tests.simulated.cloud import SimulatedCloud


class Person:
    """`monkeypatch` gives the commands the simulated host, at the one place where they ask for the real one."""

    def __init__(self, cloud: SimulatedCloud, monkeypatch: Any) -> None:
        self._cloud = cloud
        monkeypatch.setattr(session, "open_host", lambda **chosen: cloud.host())
        monkeypatch.setattr(session, "open_host_to_restore", cloud.host)

    def types(self, line: str) -> None:
        """Run one line. Raises DevswapError as devswap's own commands do, and where a command of a machine fails."""
        tool, *rest = shlex.split(line)
        if tool == "devswap":
            self._devswap(*rest)
        elif tool == "lxc-attach" and rest[0] == "-n" and rest[2] == "--":
            self._cloud.machine(rest[1]).run(rest[3:])
        elif tool == "lxc-start" and rest[0] == "-n":
            self._cloud.machine(rest[1]).boot()
        elif tool == "sh":
            self._runs_script(Path(rest[0]))
        else:
            raise AssertionError(f"nobody knows how to type {line!r} here")

    def is_told(self, *argv: str, code: int = 3) -> DevswapError:
        """What a command that fails with `code` says."""
        with pytest.raises(DevswapError) as caught:
            self._devswap(*argv)
        assert caught.value.exit_code == code, caught.value.message
        return caught.value

    def _runs_script(self, script: Path) -> None:
        """restore.sh of a swap that has no database: plain lines, some of which may fail."""
        for text in script.read_text().splitlines():
            line, tolerated, _ = text.partition(" || true")
            if not line or line.startswith(("#", "set ")):
                continue
            tool, _, name, _, *argv = shlex.split(line)
            assert tool == "lxc-attach"
            several = [[*argv[:2], unit] for unit in argv[2:]] if argv[:2] == ["systemctl", "stop"] else [argv]
            for one in several:
                self._cloud.machine(name).run(one, ok=range(256) if tolerated else (0,))

    def _devswap(self, verb: str, *arguments: str) -> None:
        app: typer.Typer = importlib.import_module(f"devswap.commands.{verb}").app
        typer.main.get_command(app).main(list(arguments), standalone_mode=False)


class Presses:
    """Somebody who presses Ctrl-C at an instant, and again at each of those afterwards that are `named` so."""

    def __init__(self, first: int, named: str = "") -> None:
        self._left, self._named = first, named

    def __call__(self, what: str) -> None:
        self._left -= 1
        if self._left == -1 or (self._left < 0 and self._named in what):
            signal.raise_signal(signal.SIGINT)


def commands(hint: str | None) -> list[str]:
    """The lines in a hint that can be typed: they begin with a tool and end where prose goes on."""
    found = re.findall(r"(?:devswap|lxc-attach|lxc-start|kill|sh) [^;,()]*", hint or "")
    return [re.sub(_PROSE, "", line).strip() for line in found]


_PROSE = r" (goes on|leaves|gives|tries|compares|starts|completes|shows|ends|does)\b.*"
