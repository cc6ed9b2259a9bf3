"""HAProxy's configuration, text in and text out: single lines are changed by words, all else is its owner's.

Comments, order and spaces stay; so do lines that somebody else has changed meanwhile.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from devswap.haproxy import OPPOSITES, SECTIONS, Server, flags, texts, words

_FLAGS = frozenset((*OPPOSITES, *OPPOSITES.values()))
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_CHECK_SECONDS = 2.0
"""HAProxy's own interval of checks."""
PATIENCE = "1h"
"""`timeout server` of a backend whose server waits for a person at a breakpoint."""
_PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class Edit:
    """One line of one section of one file, as it was and as it becomes; None where there is no such line."""

    path: str
    section: str
    before: str | None
    after: str | None

    @property
    def back(self) -> Edit:
        return replace(self, before=self.after, after=self.before)


def flagged(server: Server, *, backup: bool, disabled: bool) -> str:
    """The server's line with these flags, all else as it is."""
    line = server.line
    for flag, wanted in (("backup", backup), ("disabled", disabled)):
        line = _with_flag(line, flag, inherited=flag in server.inherited, wanted=wanted)
    return line


def _with_flag(line: str, flag: str, *, inherited: bool, wanted: bool) -> str:
    said = flag in flags(texts(line)[3:], frozenset({flag} if inherited else ()))
    if said == wanted:
        return line
    wrong, right = (OPPOSITES[flag], flag) if wanted else (flag, OPPOSITES[flag])
    line = _without(line, wrong)
    said = flag in flags(texts(line)[3:], frozenset({flag} if inherited else ()))
    return line if said == wanted else _with(line, right)


def _with(line: str, *added: str) -> str:
    """Behind the last word, before a comment."""
    end = words(line)[-1].end
    return line[:end] + "".join(f" {word}" for word in added) + line[end:]


def _without(line: str, text: str) -> str:
    """Without that option, and without the spaces before it."""
    for word in reversed(words(line)[3:]):
        if word.text == text:
            line = line[: word.start].rstrip(" \t") + line[word.end :]
    return line


def patient(server: Server, line: str) -> str:
    """`line` with checks that forgive a silent hour; a server that refuses connections is taken out at once instead."""
    found = texts(line)
    if "check" not in flags(found[3:], server.inherited):
        return line
    every = _seconds(found[found.index("inter") + 1]) if "inter" in found[:-1] else _CHECK_SECONDS
    line = _with_value(line, "fall", str(math.ceil(_PATIENCE_SECONDS / max(every, 0.1))))
    if "observe" not in found and "on-error" not in found:
        line = _with(line, "observe", "layer4", "error-limit", "1", "on-error", "mark-down")
    return line


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)(us|ms|s|m|h|d)?", text)
    return int(match[1]) * _SECONDS[match[2] or "ms"] if match else _CHECK_SECONDS


def _with_value(line: str, option: str, value: str) -> str:
    found = words(line)
    for word, behind in pairwise(found):
        if word.text == option:
            return line[: behind.start] + value + line[behind.end :]
    return _with(line, option, value)


def patient_backend(path: str, text: str, section: str) -> Edit | None:
    """The line that lets a backend wait for its server; None where it waits as long already, or is not there."""
    lines = text.split("\n")
    body = _body(lines, section)
    if body is None:
        return None
    index = _index(lines, body, ("timeout", "server"))
    if index is not None:
        found = words(lines[index])
        after = lines[index][: found[2].start] + PATIENCE + lines[index][found[2].end :]
        return Edit(path, section, lines[index], after) if after != lines[index] else None
    first = next((lines[number] for number in body if words(lines[number])), "    ")
    indent = first[: len(first) - len(first.lstrip())]
    return Edit(path, section, None, f"{indent}timeout server {PATIENCE}")


def edited(text: str, edits: Iterable[Edit]) -> tuple[str, list[str]]:
    """(the text with each edit made, the lines for which that could not be: neither as before nor as after).

    What is made already is left; so is every other line.
    """
    lines, strange = text.split("\n"), []
    for edit in edits:
        if not _make(edit, lines):
            strange.append(f"{' '.join(_key(edit))} of {edit.section}")
    return "\n".join(lines), strange


def _make(edit: Edit, lines: list[str]) -> bool:
    """Make it in `lines`; False where somebody else has changed the line, which then stays."""
    body = _body(lines, edit.section)
    index = None if body is None else _index(lines, body, _key(edit))
    now = None if index is None else lines[index]
    if now == edit.after:
        return True
    if body is None or (now != edit.before and not _only_flags_differ(now, edit)):
        return False
    if index is None:
        lines.insert(body.start, edit.after or "")
    elif edit.after is None:
        del lines[index]
    else:
        lines[index] = edit.after if now == edit.before else _merged(lines[index], edit)
    return True


def _only_flags_differ(now: str | None, edit: Edit) -> bool:
    """Another swap moves the same server's traffic: its flag and ours stand side by side, in any order."""
    if now is None or edit.before is None or edit.after is None:
        return False
    bare = [[text for text in texts(line) if text not in _FLAGS] for line in (now, edit.before, edit.after)]
    return bare[0] == bare[1] == bare[2]


def _merged(now: str, edit: Edit) -> str:
    before, after = set(texts(edit.before or "")), set(texts(edit.after or ""))
    for word in sorted(before - after):
        now = _without(now, word)
    return _with(now, *sorted(after - before - set(texts(now))))


def _key(edit: Edit) -> tuple[str, ...]:
    """What makes a line the same one: `server` with its name, `timeout server`."""
    return tuple(texts(edit.before or edit.after or "")[:2])


def _body(lines: Sequence[str], section: str) -> range | None:
    """Where the lines of a section are, its first one left out."""
    start = None
    for number, line in enumerate(lines):
        found = texts(line)
        if found and found[0] in SECTIONS:
            if start is not None:
                return range(start, number)
            start = number + 1 if " ".join(found[:2]) == section else None
    return None if start is None else range(start, len(lines))


def _index(lines: Sequence[str], body: range, key: tuple[str, ...]) -> int | None:
    return next((number for number in body if tuple(texts(lines[number])[:2]) == key), None)
