"""Symlinks of a machine, followed: the kernel's own list of mounts knows no others than the paths behind them."""

from __future__ import annotations

from devswap.machine import Machine

_LINKS = 40  # as many as the kernel follows (path_resolution(7))


def followed(machine: Machine, path: str) -> str:
    """The absolute `path` without a symlink in it; where something is missing, what comes behind it stays as it is."""
    todo, done, links = _parts(path), list[str](), 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        target = machine.link_target("/" + "/".join([*done, part]))
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > _LINKS:  # in a circle: whoever opens it is told so
            return path
        done = [] if target.startswith("/") else done
        todo = _parts(target) + todo
    return "/" + "/".join(done)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
