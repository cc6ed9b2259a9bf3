"""Run when an interpreter of the overlay starts: puts the service's prompt in the place of Python's own.

DEVSWAP_DEBUGGER holds, as JSON: `terminal` (its device, or null), `history` (a file), `breakpoints` (as in
breakpoints.py), `placed` (a file for those that were met), `post_mortem` (whether unhandled exceptions open the
prompt), `stacks` (a file for them), `patient` (so many seconds wait those who call it), `debugger` (pudb or debugpy;
with `listen`, `wait` and `package` for the latter).
"""

import json
import os
import pdb
import sys
from typing import Any, Dict

from . import breakpoints, caller, others, post_mortem, prompt, stacks, terminal

VARIABLE = "DEVSWAP_DEBUGGER"


def begin(given: str) -> None:
    wanted = json.loads(given)
    prompt.Prompt.path = wanted.get("terminal") or ""
    prompt.Prompt.history = terminal.queue = wanted.get("history") or ""
    prompt.Prompt.other = _other(wanted)
    caller.patience = wanted.get("patient") or 0
    pdb.Pdb = prompt.Prompt  # type: ignore[misc]
    if wanted.get("breakpoints"):
        breakpoints.install(wanted["breakpoints"], _say, wanted.get("placed") or "")
    if wanted.get("post_mortem"):
        post_mortem.install()
    if wanted.get("stacks"):
        stacks.install(wanted["stacks"])


def _other(wanted: Dict[str, Any]) -> Any:
    if wanted.get("debugger") == "pudb" and wanted.get("terminal"):
        waiting = lambda there: there.write("\n" + prompt.waits(None) + "\n")  # noqa: E731
        return others.pudb(wanted["terminal"], os.path.dirname(wanted["history"]), waiting)
    if wanted.get("debugger") == "debugpy":
        address, _, port = wanted["listen"].rpartition(":")
        package, wait = wanted["package"], bool(wanted.get("wait"))
        path = wanted.get("terminal") or ""
        return others.debugpy(address, int(port), wait=wait, package=package, say=_say, path=path)
    return None


def _say(line: str) -> None:
    sys.stderr.write("devswap: %s\n" % line)
    sys.stderr.flush()


if VARIABLE in os.environ:
    try:
        begin(os.environ[VARIABLE])
    except Exception as error:  # a service without a debugger is better than none
        _say("no debugger: %s" % error)
