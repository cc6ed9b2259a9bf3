"""A small real OpenStack all-in-one in LXC, laid out as OpenStack-Ansible lays one out, for people without a cloud."""

from devswap.sandbox.commands import down, status, up
from devswap.sandbox.results import Down, Status, Up

__all__ = ["Down", "Status", "Up", "down", "status", "up"]
