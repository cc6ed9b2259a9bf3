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

    @property
    def line(self) -> tuple[str, ...]:
        """Which line it is: its file, its section, and `server` with its name or `timeout server`."""
        return (self.path, self.section, *texts(self.before or self.after or "")[:2])


def sums(edits: Iterable[Edit]) -> list[Edit]:
    """What edits that follow each other make of each line in all."""
    found = dict[tuple[str, ...], Edit]()
    for edit in edits:
        found[edit.line] = replace(found[edit.line], after=edit.after) if edit.line in found else edit
    return list(found.values())


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
    said = [*server.defaults, *found[3:]]
    line = _with_value(line, "fall", str(math.ceil(_PATIENCE_SECONDS / max(_between_checks(said), 0.1))))
    if "observe" not in said and "on-error" not in said:
        line = _with(line, "observe", "layer4", "error-limit", "1", "on-error", "mark-down")
    return line


def _between_checks(said: Sequence[str]) -> float:
    """Seconds from one failing check to the next: `fastinter` counts from the first that has failed."""
    told = {word: _seconds(value) for word, value in pairwise(said) if word in ("inter", "fastinter")}
    return told.get("fastinter", told.get("inter", _CHECK_SECONDS))


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


def edited(text: str, edits: Iterable[Edit], others: Sequence[Edit] = ()) -> tuple[str, list[str]]:
    """(the text with each edit made, the lines for which that could not be: neither as before nor as after).

    What is made already is left; so is every other line, and what `others`, the sums of other swaps, want of a line.
    """
    lines, strange = text.split("\n"), []
    for edit in edits:
        if not _make(edit, lines, [other for other in others if other.line == edit.line]):
            strange.append(f"{' '.join(edit.line[2:])} of {edit.section}")
    return "\n".join(lines), strange


def without(text: str, others: Sequence[Edit], own: Sequence[Edit]) -> str:
    """The text as if the `others` had never been, with what is `own` in it."""
    return edited(text, [other.back for other in others], own)[0]


def _make(edit: Edit, lines: list[str], others: Sequence[Edit]) -> bool:
    """Make it in `lines`; False where somebody else has changed the line, which then stays."""
    body = _body(lines, edit.section)
    index = None if body is None else _index(lines, body, edit.line[2:])
    now = None if index is None else lines[index]
    if now == edit.after:
        return True
    if body is None:
        return False
    if edit.line[2] == "server":
        made = None if now is None else _merged(now, edit, others)
        if index is not None and made is not None:
            lines[index] = made
        return made is not None
    if now is not None and any(now == other.after for other in others):
        return True  # another swap wants it as it is, and changes it when that leaves
    if now != edit.before:
        return False
    lines[slice(body.start, body.start) if index is None else slice(index, index + 1)] = filter(None, [edit.after])
    return True


def _merged(now: str, edit: Edit, others: Sequence[Edit]) -> str | None:
    """The line with what the edit changes of it, where no other swap wants that otherwise; None for a stranger's."""
    line = _base(now, edit, others)
    if line is None or edit.before is None or edit.after is None:
        return None
    held = frozenset[str]().union(*(said(other.after) - said(other.before) for other in others))
    freed = frozenset[str]().union(*(said(other.before) - said(other.after) for other in others))
    gone = said(edit.before) - said(edit.after) - held
    come = said(edit.after) - said(edit.before) - freed
    wanted = (said(now) - gone) | come
    for word in sorted(said(line) - wanted):
        line = _without(line, word)
    return _with(line, *sorted(wanted - said(line)))


def _base(now: str, edit: Edit, others: Sequence[Edit]) -> str | None:
    """What the flags are set in: all else is of the edit or, where it changes nothing else, as it is."""
    if edit.before is None or edit.after is None:
        return None
    if bare(now) == bare(edit.before):
        return edit.after
    words = _unflagged(now)
    lines = [edit.before, *(line for other in others for line in (other.before, other.after) if line is not None)]
    is_of_ours = any(words == _unflagged(line) for line in lines)
    if words == _unflagged(edit.after) or (is_of_ours and _unflagged(edit.before) == _unflagged(edit.after)):
        return now
    return None


def said(line: str | None) -> frozenset[str]:
    """The flags that a line itself says."""
    return frozenset(texts(line or "")[3:]) & _FLAGS


def bare(line: str) -> str:
    """The line without its flags."""
    for flag in said(line):
        line = _without(line, flag)
    return line


def _unflagged(line: str) -> list[str]:
    return [text for text in texts(line) if text not in _FLAGS]


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


def _index(lines: Sequence[str], body: range, key: Sequence[str]) -> int | None:
    return next((number for number in body if tuple(texts(lines[number])[:2]) == tuple(key)), None)
