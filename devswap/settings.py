"""What users can set: /etc/devswap/config.toml, then ~/.config/devswap/config.toml, then DEVSWAP_… variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from devswap import believed
from devswap.errors import UsageError

SYSTEM_FILE = Path("/etc/devswap/config.toml")


@dataclass(frozen=True)
class Settings:
    """Every setting with its default."""

    state_dir: Path = Path("/var/lib/devswap")
    """Journals, dumps, overlays and logs. The host's: two users who differ would not see each other's swaps."""
    branches_url: str = "https://opendev.org/openstack"
    """Where branches and tags come from; the project's name is appended."""
    changes_url: str = "https://review.opendev.org/openstack"
    """Where Gerrit changes come from; the project's name is appended."""
    gerrit_url: str = ""
    """Where Gerrit's REST answers; empty: where changes_url is a web page's, its folder."""
    index_policy: str = "fallback"
    """private, fallback or public: where packages that production lacks may come from."""
    private_links: tuple[str, ...] = ()
    """Pages with the cloud's own wheels, asked before the public index; found by looking where this is empty."""
    constraints: str = ""
    """A page, a file, cloud or off: which versions packages may have. {branch} stands for the checkout's branch.

    Empty: the cloud's own, for a checkout of the series that production runs.
    """
    wait: float = 60.0
    """Seconds a detached service has to serve."""

    @property
    def rest(self) -> str | None:
        """The address of Gerrit's REST, if any is known. It is asked anonymously, whoever fetches."""
        derived = re.sub(r"://[^/]*@", "://", self.changes_url.rstrip("/").rpartition("/")[0])
        return self.gerrit_url or (derived if derived.startswith(("http://", "https://")) else None)


def load(home: Path | None, environment: Mapping[str, str], *, trusted: frozenset[int] = frozenset({0})) -> Settings:
    """The settings in force. `trusted` are the uids whose files are believed: root's and the invoking user's."""
    settings = _from_file(Settings(), SYSTEM_FILE, frozenset({0}))
    if home is not None:
        own = home / ".config/devswap/config.toml"
        whole, settings = settings, _from_file(settings, own, trusted)
        if settings.state_dir != whole.state_dir:
            raise UsageError(f"state_dir in {own} is not used", hint=f"it is the host's: set it in {SYSTEM_FILE}")
    return _from_environment(settings, environment)


def override(settings: Settings, read: Mapping[str, Any]) -> Settings:
    """With what the command line says."""
    return _with(settings, read, where="the command line")


def _from_file(settings: Settings, path: Path, trusted: frozenset[int]) -> Settings:
    read = believed.read(path, trusted)
    if read is None:
        return settings
    return _with(settings, read, where=str(path))


def _from_environment(settings: Settings, environment: Mapping[str, str]) -> Settings:
    known = {f"DEVSWAP_{field.name.upper()}": field.name for field in fields(Settings)}
    read: dict[str, Any] = {name: environment[variable] for variable, name in known.items() if variable in environment}
    return _with(settings, read, where="the environment")


def _with(settings: Settings, read: Mapping[str, Any], *, where: str) -> Settings:
    known = {field.name for field in fields(Settings)}
    for name in read:
        if name not in known:
            raise UsageError(f"unknown setting {name!r} in {where}", hint=f"known: {', '.join(sorted(known))}")
    try:
        return replace(settings, **{name: _converted(name, value) for name, value in read.items()})
    except (TypeError, ValueError) as error:
        raise UsageError(f"cannot use a setting of {where}: {error}") from error


def _converted(name: str, value: Any) -> Any:
    if name == "state_dir":
        return Path(value).expanduser()
    if name == "wait":
        return float(value)
    if name == "private_links":
        return tuple(value.split() if isinstance(value, str) else value)
    if name == "index_policy" and value not in ("private", "fallback", "public"):
        raise ValueError(f"index_policy is private, fallback or public, not {value!r}")
    return str(value)
