"""Fixtures that several modules share."""

from __future__ import annotations

from tests.unit.served import developer, heat, home, server, wire

__all__ = ["developer", "heat", "home", "server", "wire"]
