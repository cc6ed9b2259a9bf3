"""Several services on one real terminal: whose line it is, and whose prompt."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.unit import terminals

SERVICE = """
import json, os, sys, threading, time
from devswap.debugger import start

start.begin(json.dumps({"terminal": os.ttyname(0), "history": sys.argv[2]}))
import pdb
name, folder = sys.argv[1], sys.argv[3]

def method():
    while not os.path.exists(f"{folder}/stop-{name}"):
        time.sleep(0.02)
    os.remove(f"{folder}/stop-{name}")
    pdb.set_trace()
    print("went on", name, flush=True)
    print("and further", name, flush=True)

threading.Thread(target=method, daemon=True).start()
said = f"{folder}/say-{name}"
try:
    print("started", name, flush=True)
    while True:
        time.sleep(0.02)
        if os.path.exists(said):
            print(open(said).read(), flush=True)
            os.remove(said)
except KeyboardInterrupt:
    print("interrupted", name, flush=True)
"""
TOGETHER = """
import os, subprocess, sys
from devswap.pty import Terminal
from devswap.together import Part, Together

parts = []
for name in ("api", "engine"):
    ours, theirs = os.openpty()
    path = os.ttyname(theirs)
    line = ["setsid", "--ctty", sys.executable, sys.argv[1], name, sys.argv[2], sys.argv[3]]
    job = subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs)
    kept = open(f"{sys.argv[3]}/kept-{name}", "wb", buffering=0)
    parts.append(Part(name, Terminal(ours, path), job, job.kill, kept.write))
shown = Together(parts)
shown.fit()
ended = shown.run(lambda: None)
print({name: each.by_user for name, each in ended.items()})
"""
PROMPT = r"\(Pdb\) "


class Run:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name, text in (("service.py", SERVICE), ("together.py", TOGETHER)):
            (folder / name).write_text(text)
        argv = [str(folder / "together.py"), str(folder / "service.py"), str(folder / "history"), str(folder)]
        self.terminal = pexpect.spawn(sys.executable, argv, encoding="utf-8", timeout=20, dimensions=(30, 100))

    def expect(self, *texts: str) -> None:
        for text in texts:
            self.terminal.expect(text)

    def stops(self, name: str) -> None:
        (self._folder / f"stop-{name}").touch()

    def says(self, name: str, text: str) -> None:
        (self._folder / ".new").write_text(text)
        (self._folder / ".new").rename(self._folder / f"say-{name}")
        while (self._folder / f"say-{name}").exists():  # it is removed once it is said
            time.sleep(0.01)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    found = Run(tmp_path)
    found.terminal.expect("started api|started engine")
    found.terminal.expect("started api|started engine")
    yield found
    terminals.close(found.terminal)


def test_each_line_says_whose_it_is_in_a_colour_of_its_own(run: Run) -> None:
    run.says("api", "one")
    run.expect("\x1b\\[36mapi    \\| \x1b\\[0mone\r\n")
    run.says("engine", "two")
    run.expect("\x1b\\[33mengine \\| \x1b\\[0mtwo\r\n")


def test_whoever_stops_has_the_terminal_to_itself_and_the_next_one_waits(run: Run) -> None:
    run.stops("engine")
    run.expect("devswap: this is engine", "has stopped; c or Ctrl-D", PROMPT)
    run.says("api", "held back")
    run.terminal.sendline("p name * 2")
    run.expect("'engineengine'", PROMPT)
    assert "held back" not in str(run.terminal.before)
    run.stops("api")
    run.expect("devswap: api has stopped too, and waits for this prompt's end")
    run.terminal.sendcontrol("c")
    run.expect(PROMPT)
    run.terminal.sendline("n")
    run.expect("went on engine", PROMPT)
    run.terminal.sendline("c")
    run.expect("api .*held back", "devswap: this is api", PROMPT)
    run.terminal.sendline("p name * 2")
    run.expect("'apiapi'", PROMPT)
    run.terminal.sendline("c")
    run.expect("and further api")


def test_one_ctrl_c_ends_all_of_them(run: Run) -> None:
    run.terminal.sendcontrol("c")
    run.expect("interrupted")
    run.expect("interrupted")
    run.expect("{'api': True, 'engine': True}", pexpect.EOF)  # type: ignore[arg-type]


def test_one_that_ends_at_its_prompt_leaves_the_others(run: Run) -> None:
    run.stops("api")
    run.expect("this is api", PROMPT)
    run.terminal.send("\x1c")
    run.expect("devswap: api has ended by itself; Ctrl-C ends the others")
    run.says("engine", "still here")
    run.expect("engine .*still here")
    run.terminal.sendcontrol("c")
    run.expect("{'api': False, 'engine': True}")
