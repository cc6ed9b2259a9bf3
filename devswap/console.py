"""How devswap talks to people: results on stdout, the conversation on stderr, secrets on neither."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from devswap import table
from devswap.errors import DevswapError
from devswap.journal import make_private
from devswap.masking import mask

_KEPT_LOGS = 50
_began = time.monotonic()
_log_file: list[Path] = []
_log_trouble: list[str] = []

log = logging.getLogger(__name__)
# Without a log file nothing is logged; Python would print warnings and errors on stderr itself.
logging.getLogger("devswap").addHandler(logging.NullHandler())


def say(text: str) -> None:
    """One line of progress; on a terminal with the seconds since the command began, to show what takes them."""
    text = mask(text)
    log.info("%s", text)
    # A terminal that has gone (lost ssh) must not stop a rollback that only wants to tell of itself.
    with suppress(OSError):
        at = f"{time.monotonic() - _began:5.1f} s  " if sys.stderr.isatty() else ""
        sys.stderr.write(f"{styled(f'• {at}{text}', '2')}\n")  # at once, not as print does it: others say something too
        sys.stderr.flush()


def show_error(error: DevswapError, cause: BaseException | None = None) -> None:
    """What could not be done and why, what to type next, and where the whole story is."""
    log.error("%s", mask(error.message), exc_info=cause or error)
    lines = [f"{styled('devswap:', '1;31')} {mask(error.message)}"]
    if error.hint:
        lines.append(f"  try: {mask(error.hint)}")
    if _log_file and error.exit_code in (1, 3):
        wrong = f" cannot be written: {_log_trouble[0]}" if _log_trouble else ""
        lines.append(f"  log: {_log_file[0]}{wrong}")
    with suppress(OSError):  # the exit code says it as well, to whoever is left
        print("\n".join(lines), file=sys.stderr, flush=True)


def choose(question: str, options: Sequence[str]) -> int | None:
    """The number of the option that a person at the terminal names; None without one, or for an empty answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    print(f"{question}:", file=sys.stderr)
    for number, option in enumerate(options, 1):
        print(f"  {number}  {option}", file=sys.stderr)
    while True:
        print(f"which one [1-{len(options)}]? ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline().strip()
        if not answer:
            return None
        if answer.isdecimal() and 1 <= int(answer) <= len(options):
            return int(answer) - 1


def show_json(result: Mapping[str, Any]) -> None:
    """One object for scripts; its "version" rises when a key changes its meaning."""
    print(json.dumps({"version": 1, **_without_secrets(result)}, indent=2, ensure_ascii=False))


def _without_secrets(value: Any) -> Any:
    """Each text by itself: what a service has said last (a URL, say) is part of why it does not run."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {name: _without_secrets(each) for name, each in value.items()}
    return [_without_secrets(each) for each in value] if isinstance(value, list | tuple) else value


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """On stdout, the header in bold."""
    for number, line in enumerate(table.lines(header, rows)):
        print(styled(line, "1", stream=sys.stdout) if number == 0 else line)


def keep_log(state: Path) -> None:
    """Write everything of this run to a file of its own below `state`; where that is impossible, go without."""
    folder = state / "log"
    try:
        make_private(folder)
        path = folder / f"{datetime.now().strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace", delay=True)
        for old in sorted(folder.glob("*.log"))[: -_KEPT_LOGS + 1]:
            old.unlink(missing_ok=True)
    except OSError:
        return
    handler.setFormatter(_Masked("%(asctime)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    _log_file[:] = [path]
    log.info("%s", " ".join(sys.argv))


class _LogFile(logging.FileHandler):
    """A log that cannot be written (a full disk) must not bury what is said; an error tells of it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # it is opened by its first line, and that is not caught there
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's own name
        error = sys.exc_info()[1]
        _log_trouble[:] = [error.strerror or str(error) if isinstance(error, OSError) else repr(error)]


class _Masked(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


def styled(text: str, code: str, *, stream: Any = None) -> str:
    """`text` as ECMA-48's SGR `code` has it, where `stream` (default: stderr) is a terminal that may have colours."""
    stream = stream or sys.stderr
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return f"\033[{code}m{text}\033[0m"
