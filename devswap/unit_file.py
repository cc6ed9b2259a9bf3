"""Unit files as text, in the dialect of systemd.syntax(7); systemd itself is asked in systemd.py."""

from __future__ import annotations

import re
import shlex

_PREFIXES = "-+!:@|"


def values(text: str, name: str) -> list[str]:
    """What a file sets `name` to, in its order. OpenStack-Ansible writes its units with spaces around each `=`.

    An empty text is there where the file takes back what was said before.
    """
    whole = re.sub(r"\\\n", " ", text)
    return [match[1].strip() for match in re.finditer(rf"^[ \t]*{name}[ \t]*=(.*)$", whole, re.MULTILINE)]


def command(line: str) -> list[str]:
    """The program behind an ExecStart= with its arguments, without the name that @ gives it."""
    words = quoted_words(line)
    return [*words[:1], *words[2:]] if "@" in line[: len(line) - len(line.lstrip(_PREFIXES))] else words


def quoted_words(line: str) -> list[str]:
    """The words behind an ExecStart=, without what stands in front of the first to say how it is run."""
    bare = line.lstrip(_PREFIXES)
    try:
        return shlex.split(bare)
    except ValueError:  # an apostrophe that is none of a pair
        return bare.split()
