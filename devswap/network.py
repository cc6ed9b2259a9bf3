"""The IPv4 addresses of a process's network, as the kernel lists them: no process in it is needed."""

from __future__ import annotations

import re
from pathlib import Path

# /proc/PID/net/fib_trie: an address on one line, what it is on the next.
_OWN = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")


def addresses(pid: int) -> list[str]:
    """Those of its interfaces, but for the loopback's; none for a process that has ended."""
    try:
        return own(Path(f"/proc/{pid}/net/fib_trie").read_text(encoding="ascii"))
    except OSError:
        return []


def own(trie: str) -> list[str]:
    """The addresses in the text of a fib_trie, each once."""
    return [address for address in dict.fromkeys(_OWN.findall(trie)) if not address.startswith("127.")]
