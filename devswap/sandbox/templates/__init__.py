"""The configuration files of the sandbox's services, filled with string.Template; an era's own file goes first."""

from __future__ import annotations

from importlib.resources import files
from string import Template


def template_text(name: str, era: str | None = None) -> str:
    root = files(__name__)
    own = root / era / name if era else None
    return (own if own is not None and own.is_file() else root / name).read_text()


def fill(name: str, era: str | None = None, /, **values: object) -> str:
    """Raises KeyError for a placeholder that nothing was given for: a half-filled file never reaches a container."""
    return Template(template_text(name, era)).substitute(values)
