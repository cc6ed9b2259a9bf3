"""Who is behind this run: with sudo, the person who typed it, whose files stay theirs."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devswap.errors import DevswapError
from devswap.process import Identity

_PASSED_ON = (
    "PATH",
    "TERM",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    *(name for lower in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (lower, lower.upper())),
)


@dataclass(frozen=True)
class UserHome:
    """The invoking user, and where their mirrors and checkouts live (`folder`).

    `identity` is what a process must be given to run as them: None where this process is theirs already.
    """

    user: str
    uid: int
    identity: Identity | None
    home: Path
    folder: Path

    def environment(self, outer: Mapping[str, str] = os.environ) -> dict[str, str]:
        """What their processes need: their own home, the way to the network, and nothing else of root's."""
        kept = {name: outer[name] for name in _PASSED_ON if name in outer}
        return {**kept, "HOME": str(self.home), "USER": self.user, "LOGNAME": self.user, "LC_ALL": "C.UTF-8"}

    def check_owner(self, path: Path) -> None:
        """Raise unless everything that exists from the home down to `path` is theirs or root's.

        Somebody else's folder on the way could be turned into another one while it is being used.
        """
        below = [path, *path.parents]
        inner = below[: below.index(self.home) + 1] if self.home in below else [path]
        for each in reversed(inner):
            try:
                owner = each.lstat().st_uid
            except FileNotFoundError:
                return
            except OSError as error:
                raise DevswapError(f"cannot look at {each}: {error.strerror}") from error
            if owner not in (self.uid, 0):
                raise DevswapError(
                    f"cannot use {each}: it belongs to {_name(owner)}, not to {self.user}",
                    hint=f"give it to {self.user} (chown), or move it away",
                )


def invoking_user(environment: Mapping[str, str] = os.environ, *, uid: int | None = None) -> UserHome:
    """The user who started devswap: as root the one that sudo names (SUDO_UID), otherwise whoever runs it."""
    running = os.geteuid() if uid is None else uid
    named = environment.get("SUDO_UID", "")
    person = int(named) if running == 0 and named.isdecimal() else running
    try:
        entry = pwd.getpwuid(person)
    except KeyError as error:
        raise DevswapError(
            f"cannot tell whose checkouts to use: this host has no user with the number {person}",
            hint="run devswap as root itself (su -), or as a user this host knows",
        ) from error
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    home = Path(entry.pw_dir)
    return UserHome(
        user=entry.pw_name,
        uid=person,
        identity=Identity(entry.pw_uid, entry.pw_gid, groups) if running == 0 and person != 0 else None,
        home=home,
        folder=home / ".local" / "share" / "devswap",
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
