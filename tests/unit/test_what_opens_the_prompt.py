"""What opens the prompt by itself, with --post-mortem: exceptions that nobody handles; and where it cannot open."""

from __future__ import annotations

import sys
from pathlib import Path

import pexpect

PROMPT = r"\(Pdb\) "
UNHANDLED = """
import json, logging, os, sys, threading
from devswap.debugger import start

start.begin(json.dumps({"terminal": os.ttyname(0), "history": sys.argv[1], "post_mortem": True}))

def method(number):
    raise ValueError(f"bad {number}")

def caught(number, level):
    try:
        method(number)
    except ValueError as error:
        logging.getLogger("service").log(level, "it failed: %s", error)

caught(1, logging.INFO)
caught(2, logging.ERROR)
thread = threading.Thread(target=method, args=(3,))
thread.start()
thread.join()
print("went on")
"""


def test_an_exception_that_is_logged_as_an_error_or_ends_a_thread_opens_the_prompt_where_it_was_raised(
    tmp_path: Path,
) -> None:
    script = tmp_path / "service.py"
    script.write_text(UNHANDLED)
    terminal = pexpect.spawn(sys.executable, [str(script), str(tmp_path / "history")], encoding="utf-8", timeout=20)
    for number in (2, 3):
        terminal.expect(f"has stopped at ValueError: bad {number};")
        terminal.expect(r"-> raise ValueError")
        terminal.expect(PROMPT)
        terminal.sendline("p number * 100")
        terminal.expect(f"{number}00")
        terminal.expect(PROMPT)
        terminal.sendline("q")
    terminal.expect("went on")
    terminal.expect(pexpect.EOF)


SERVED = """
import importlib, json, os, sys, types
from devswap.debugger import start

start.begin(json.dumps({"terminal": os.ttyname(0), "history": sys.argv[1], "post_mortem": True}))
from wsgiref import handlers, util

def application(environ, start_response):
    raise ValueError("up to " + environ["SERVER_SOFTWARE"])

environ = {"SERVER_SOFTWARE": "wsgiref"}
util.setup_testing_defaults(environ)
handlers.SimpleHandler(sys.stdin.buffer, sys.stdout.buffer, sys.stderr, environ).run(application)
sys.modules["uwsgi"] = types.ModuleType("uwsgi")
sys.path.insert(0, os.path.dirname(sys.argv[1]))
served = importlib.import_module("served").application
assert served.name == "its own"
try:
    served({"SERVER_SOFTWARE": "uWSGI"}, None)
except ValueError:
    print("went up")
"""


def test_what_a_wsgi_application_raises_opens_the_prompt_though_its_server_prints_it_only(tmp_path: Path) -> None:
    script, module = tmp_path / "server.py", tmp_path / "served.py"
    script.write_text(SERVED)
    module.write_text(
        "def application(environ, start_response):\n    raise ValueError('up to ' + environ['SERVER_SOFTWARE'])\n"
        "application.name = 'its own'\n"
    )
    terminal = pexpect.spawn(sys.executable, [str(script), str(tmp_path / "history")], encoding="utf-8", timeout=20)
    for name in ("wsgiref", "uWSGI"):
        terminal.expect(f"has stopped at ValueError: up to {name}")
        terminal.expect(PROMPT)
        terminal.sendline("p 'look' + 'ed'")
        terminal.expect("looked")
        terminal.sendline("q")
    terminal.expect("went up")
    terminal.expect(pexpect.EOF)


def test_without_a_terminal_breakpoints_are_passed_and_said(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(
        "from devswap.debugger import start\nstart.begin('{}')\nbreakpoint()\nprint('went on')\nbreakpoint()\n"
    )
    shown = pexpect.run(f"{sys.executable} {script}", encoding="utf-8")
    assert "passed the breakpoint at" in shown
    assert "service.py:3" in shown
    assert "went on" in shown
