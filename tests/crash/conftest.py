"""What the crash tables have tried is told at the end of a run."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tests.crash.exploration import TRIED, Count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TRIED:
        total = Count(*(sum(getattr(each, field.name) for each in TRIED) for field in fields(Count)))
        terminalreporter.write_line(f"crash tables, {len(TRIED)} of them: {total}")
