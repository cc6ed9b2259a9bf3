"""Run when an interpreter of the overlay starts: puts the service's prompt in the place of Python's own.

DEVSWAP_DEBUGGER holds, as JSON: `terminal` (its device, or null), `history` (a file), `breakpoints` (as in
breakpoints.py), `post_mortem` (whether unhandled exceptions open the prompt), `stacks` (a file for them).
"""

import json
import os
import pdb
import sys

from . import breakpoints, post_mortem, prompt, stacks

VARIABLE = "DEVSWAP_DEBUGGER"


def begin(given: str) -> None:
    wanted = json.loads(given)
    prompt.Prompt.path = wanted.get("terminal") or ""
    prompt.Prompt.history = wanted.get("history") or ""
    pdb.Pdb = prompt.Prompt  # type: ignore[misc]
    if wanted.get("breakpoints"):
        breakpoints.install(wanted["breakpoints"], _say)
    if wanted.get("post_mortem"):
        post_mortem.install()
    if wanted.get("stacks"):
        stacks.install(wanted["stacks"])


def _say(line: str) -> None:
    sys.stderr.write("devswap: %s\n" % line)
    sys.stderr.flush()


if VARIABLE in os.environ:
    try:
        begin(os.environ[VARIABLE])
    except Exception as error:  # a service without a debugger is better than none
        _say("no debugger: %s" % error)
