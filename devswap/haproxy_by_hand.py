"""Traffic put back by a person without devswap: lines for sed, and for the reload of whichever HAProxy runs then."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from devswap import haproxy_process
from devswap.haproxy import OPPOSITES, SECTIONS, words
from devswap.haproxy_edits import Edit, bare, said

# Those of this machine itself that have "$1" on their command line; a container's show a second number to their host.
_FIND = r"""
found=
for each in /proc/[0-9]*; do
    grep -qx haproxy "$each/comm" 2>/dev/null && grep -q "^NSpid:[[:space:]]*[0-9]*$" "$each/status" &&
        tr "\0" "\n" <"$each/cmdline" | grep -qx -e "$1" -e "$1/" && found="$found ${each#/proc/}"
done
[ -n "$found" ] || { echo "no HAProxy with $1 runs here: it reads it when it is started"; exit 0; }
"""
_SIGNAL = """for each in $found; do
    parent=$(sed -n "s/^PPid:[[:space:]]*//p" "/proc/$each/status")
    case " $found " in *" $parent "*) ;; *) kill -USR2 "$each" ;; esac
done"""
_TAKE_OVER = 'shift; exec "$@" -sf $found'


def reload(argv: Sequence[str], source: str) -> list[str]:
    """What does the same as `argv` did on the day of the swap; `source` is the first of HAProxy's files.

    Its processes are others by then.
    """
    if argv[0] == "systemctl":
        return list(argv)
    if argv[0] == "kill":
        return ["sh", "-c", _FIND + _SIGNAL, "sh", source]
    inherit = list(argv[argv.index("-x") : argv.index("-x") + 2]) if "-x" in argv else []
    rest = haproxy_process.without_takeover(argv)
    return ["sh", "-c", _FIND + _TAKE_OVER, "sh", source, *rest, *inherit]


def sed(edit: Edit) -> str:
    """One line of one section changed as `edit` says, with what another swap has added to it left as it is."""
    first = "[[:space:]]+".join(map(_pattern, edit.section.split(" ")))
    section = f"/^[[:space:]]*{first}([[:space:]]|$)/,/^[[:space:]]*({'|'.join(sorted(SECTIONS))})([[:space:]]|$)/"
    line = f"^{_pattern(edit.before or '')}$"
    if edit.after is None:
        return f"{section}{{/{line}/d}}"
    exact = f"s/{line}/{_replacement(edit.after)}/"
    if edit.before is None or edit.line[2] != "server":
        return f"{section}{exact}"
    return f"{section}{{{'; '.join([exact, 't', *_beside_others(edit.before, edit.after)])}}}"


def _beside_others(before: str, after: str) -> Iterator[str]:
    """The same where another swap has added flags or options of its own; each may be done again."""
    (head, tail), (new_head, new_tail) = (_around(bare(line)) for line in (before, after))
    if bare(before) != bare(after):
        flags = "|".join((*OPPOSITES, *OPPOSITES.values()))
        found = f"^{_pattern(head)}(( ({flags}))*){_pattern(tail)}$"
        yield f"s/{found}/{_replacement(new_head)}\\1{_replacement(new_tail)}/"
    here = f"/^{_pattern(before[: words(before)[2].end])}([[:space:]]|$)/"
    for flag in sorted(said(before) - said(after)):
        yield f"{here}s/^([^#]*) {flag}([[:space:]]|$)/\\1\\2/"
    for flag in sorted(said(after) - said(before)):
        yield f"{here}{{/^[^#]* {flag}([[:space:]]|$)/!s/^([^#]*[^#[:space:]])/\\1 {flag}/}}"


def _around(line: str) -> tuple[str, str]:
    """What comes before the place of flags at the end, and the comment behind it."""
    end = words(line)[-1].end
    return line[:end], line[end:]


def _pattern(text: str) -> str:
    return re.sub(r"([\\.*+?()\[\]{}|^$/])", r"\\\1", text)


def _replacement(text: str) -> str:
    return re.sub(r"([\\&/])", r"\\\1", text)
