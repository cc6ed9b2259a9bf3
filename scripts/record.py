"""Plays a session at a terminal and writes what the terminal showed; see scripts/record."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect

from devswap import sandbox
from devswap.sandbox.changes import HARMLESS, change

ROWS, COLUMNS = 32, 180
PROMPT = r"\(Pdb\) "
SHELL = "devswap@aio# "
TEMPLATE = "heat_template_version: 2021-04-16\nresources: {word: {type: 'OS::Heat::RandomString'}}\n"
# What a terminal does and a reader of text does not: colours, the cursor's moves, titles.
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
# How many lines of a service's log in a row a reader of text is shown.
LOGGED = 4
CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b[=>]|\x07")


class Recorder:
    """Takes what the terminal shows, with the seconds since the beginning: asciinema's format, version 2."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.events: list[tuple[float, str]] = []

    def write(self, text: str) -> None:
        self.events.append((round(time.monotonic() - self._began, 3), text))

    def flush(self) -> None:
        """As a file does; nothing waits here."""

    def save(self, name: Path) -> None:
        """Write NAME.cast and NAME.txt."""
        head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "devswap: breakpoints", "idle_time_limit": 2}
        lines = [json.dumps(head), *(json.dumps([at, "o", text]) for at, text in self.events)]
        name.with_suffix(".cast").write_text("\n".join(lines) + "\n")
        text = CONTROL.sub("", "".join(text for _, text in self.events)).replace("\r\n", "\n")
        shown = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
        name.with_suffix(".txt").write_text("\n".join(_shortened(shown)).rstrip() + "\n")


def _shortened(lines: list[str]) -> Iterator[str]:
    for is_log, run in itertools.groupby(lines, lambda line: LOG_LINE.match(line) is not None):
        found = list(run)
        if is_log and len(found) > LOGGED:
            found[LOGGED - 1 :] = [f"… {len(found) - LOGGED + 1} more lines of its log"]
        yield from found


class Session:
    """A shell at a terminal, and a person who types into it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.recorder = Recorder()
        env: os._Environ[str] | dict[str, str] = {**os.environ, **environment, "TERM": "xterm", "PS1": SHELL}
        self._terminal = pexpect.spawn(
            "bash", ["--norc", "--noprofile"], env=env, dimensions=(ROWS, COLUMNS), encoding="utf-8", timeout=120
        )
        self._terminal.logfile_read = self.recorder
        self._terminal.expect_exact(SHELL)

    def type(self, line: str, until: str) -> None:
        """As people do, one key after another, so that a player shows it."""
        for key in line:
            self._terminal.send(key)
            time.sleep(0.02)
        self._terminal.send("\r")
        self._terminal.expect(until)

    def wait(self, until: str) -> None:
        self._terminal.expect(until)

    def interrupt(self, until: str) -> None:
        self._terminal.sendcontrol("c")
        self._terminal.expect(until)


def elsewhere(container: str, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    """What a user of the cloud does meanwhile."""
    line = ["lxc-attach", "--clear-env", "-n", container, "--", "sh", "-c", f". /root/openrc; {script}", "sh"]
    return subprocess.Popen([*line, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def play(heat: str, keystone: str, utility: str, git: str) -> Recorder:
    sources = {"DEVSWAP_BRANCHES_URL": git, "DEVSWAP_CHANGES_URL": git}
    session = Session(sources)
    shell = re.escape(SHELL)

    session.type("# heat-engine: a breakpoint in a method that its worker handles", shell)
    where = "heat.engine.service:EngineService.create_stack"
    review = f"review/{change('heat', HARMLESS).number}"
    session.type(f"devswap checkout heat-engine {review} --machine {heat} --break {where}", "answers from")
    create = 'printf %s "$1" >/root/word.yaml; openstack stack create --wait -t /root/word.yaml recorded'
    created = elsewhere(utility, f"{create}; openstack stack delete --yes --wait recorded", TEMPLATE)
    session.wait(PROMPT)
    for line in ("p stack_name", "w", "n"):
        session.type(line, PROMPT)
    session.type("c", "Stack CREATE completed")
    created.wait()
    session.interrupt(shell)
    session.type("devswap restore heat-engine", shell)

    session.type("# keystone: a breakpoint in a request for a token", shell)
    where = "keystone.api.auth:AuthTokenResource.post"
    review = f"review/{change('keystone', HARMLESS).number}"
    session.type(f"devswap checkout keystone {review} --machine {keystone} --break {where}", "answers from")
    asked = elsewhere(utility, "openstack token issue")
    session.wait(PROMPT)
    for line in ("p flask.request.method, flask.request.path", "n"):
        session.type(line, PROMPT)
    session.type("c", r"\r\n")
    asked.wait()
    session.interrupt(shell)
    session.type("devswap restore keystone", shell)
    return session.recorder


def main() -> None:
    here = next(each for each in sandbox.status() if each.era == "current")
    addresses = {one.name: one.address for one in here.containers}

    def named(part: str) -> str:
        return next(name for name in addresses if part in name)

    git = f"git://{addresses[named('-git-')]}/openstack"
    play(named("-heat-api-"), named("-keystone-"), named("-utility-"), git).save(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
