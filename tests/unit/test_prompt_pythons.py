"""The prompt in other Pythons than devswap's own: pdb stops elsewhere since 3.13, and is shared since 3.14."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

import devswap
from tests.unit import terminals

PROMPT = r"\(Pdb\) "
_OLDEST = 8
"""The minor version of the oldest Python that services have which are run from a checkout."""
SERVICE = """
import json, os, sys, threading

sys.path[:0] = [sys.argv[2], os.path.dirname(__file__)]
from debugger import start

stops = [
    {"text": text, "file": None, "module": "code_of", "line": None, "name": text, "condition": condition}
    for text, condition in (("documented", ""), ("Engine.only_some", "value == 5"))
]
start.begin(json.dumps({"terminal": os.ttyname(0), "history": sys.argv[1], "breakpoints": stops}))
import code_of

def method(number):
    breakpoint()
    last = number + 1
    print("done", number, last, flush=True)

threads = [threading.Thread(target=method, args=(number,), name="rpc%d" % number) for number in (1, 2)]
[each.start() for each in threads]
[each.join() for each in threads]
print("says", code_of.documented.__doc__, code_of.documented(1), flush=True)
print("passed", code_of.Engine().only_some(4), "met", code_of.Engine().only_some(5), flush=True)
"""
CODE = '''
def documented(value):
    """what it is"""
    more = value + 1
    return more

class Engine:
    def only_some(self, value):
        return value * 2
'''


def _pythons() -> list[str]:
    """devswap's own, and the oldest and the newest that pyenv has built on this host, or DEVSWAP_TEST_PYTHON names."""
    found = {}
    for folder in Path("~/.pyenv/versions").expanduser().glob("3.*"):
        minor = int(folder.name.split(".")[1])
        if (folder / "bin/python3").exists() and minor >= _OLDEST:
            found[minor] = str(folder / "bin/python3")
    others = [found[minor] for minor in sorted({min(found), max(found)})] if found else []
    named = os.environ.get("DEVSWAP_TEST_PYTHON")
    return list(dict.fromkeys([sys.executable, *others, *([named] if named else [])]))


@pytest.fixture(params=_pythons())
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[pexpect.spawn[str]]:
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "code_of.py").write_text(CODE)
    argv = [str(tmp_path / "service.py"), str(tmp_path / "history"), str(Path(devswap.__file__).parent)]
    warned = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning:debugger.breakpoints"}
    terminal = pexpect.spawn(request.param, argv, encoding="utf-8", timeout=30, env=warned)
    yield terminal
    terminals.close(terminal)


def test_threads_take_turns_and_each_steps_through_its_own_code(run: pexpect.spawn[str]) -> None:
    said = [r"thread rpc\d has stopped;", "too, and waits for this prompt's end"]
    run.expect(said[1 - run.expect([*said])])
    run.sendline("p 'own', number")
    own = 1 + run.expect([r"\('own', 1\)", r"\('own', 2\)"])
    run.expect(PROMPT)
    run.sendline("n")
    run.expect(PROMPT)
    run.sendline("p 'own', number")
    run.expect(rf"\('own', {own}\)")
    run.expect(PROMPT)
    run.sendline("c")
    run.expect(r"thread rpc\d has stopped;")


def test_breakpoints_that_no_source_holds_stop_at_the_statement_that_is_meant(run: pexpect.spawn[str]) -> None:
    for _ in range(2):
        run.expect("has stopped;")
        run.expect(PROMPT)
        run.sendline("c")
    run.expect(r"code_of\.py\(4\)documented\(\)")
    run.expect(PROMPT)
    run.sendline("c")
    run.expect("says what it is 2")
    run.expect(r"code_of\.py\(9\)only_some\(\)")
    run.expect(PROMPT)
    run.sendline("p value")
    run.expect("5")
    run.expect(PROMPT)
    run.sendline("q")
    run.expect("passed 8 met 10")
    run.expect(pexpect.EOF)
