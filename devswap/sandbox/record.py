"""What the sandbox knows of itself: one record per era, on disk before anything on the host changes."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path

from devswap.errors import DevswapError
from devswap.journal import make_private
from devswap.sandbox.additions import additions_named, grown
from devswap.sandbox.addresses import GATEWAY_OFFSET, address
from devswap.sandbox.eras import Era, Member, era_named
from devswap.sandbox.names import container_name, new_suffix

_SECRETS = (
    "admin_password",
    "keystone_db_password",
    "keystone_rabbit_password",
    "heat_db_password",
    "heat_rabbit_password",
    "heat_service_password",
    "heat_domain_password",
    "heat_encryption_key",
    "haproxy_stats_password",
    "memcached_key",
)
_KEYS = ("fernet_key_0", "fernet_key_1", "credential_key_0", "credential_key_1")


@dataclass(frozen=True)
class Record:
    """One sandbox: its names, its range, its secrets and how far `up` has come (`done`)."""

    era_name: str
    prefix: str
    bridge: str
    network: str
    suffixes: dict[str, str]
    secrets: dict[str, str]
    done: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    """What it has besides: see additions.py."""

    @property
    def era(self) -> Era:
        """Its layout; what an addition has got since it was built is not there."""
        whole = grown(era_named(self.era_name), self.added)
        return replace(whole, members=tuple(member for member in whole.members if member.key in self.suffixes))

    def name(self, member: Member) -> str:
        return container_name(self.era, self.prefix, member, self.suffixes[member.key])

    def hostname(self, member: Member) -> str:
        """What the container calls itself: OSA too writes dashes there, since systemd drops underscores."""
        return self.name(member).replace("_", "-")

    def address(self, member: Member) -> str:
        return str(address(IPv4Network(self.network), member.offset))

    @property
    def gateway(self) -> str:
        return str(address(IPv4Network(self.network), GATEWAY_OFFSET))

    @property
    def vip(self) -> str:
        """Where HAProxy listens: what OSA calls internal_lb_vip_address."""
        return self.address(self.era.member("haproxy"))

    @property
    def prefix_length(self) -> int:
        return IPv4Network(self.network).prefixlen


def with_additions(record: Record, names: Sequence[str]) -> Record:
    """The record of a sandbox that shall have these and what they need: it does not serve any more until they do.

    One that an older devswap has built gets what its additions have got since: then every step is repeated.
    """
    added = [*record.added, *(each.name for each in additions_named(names) if each.name not in record.added)]
    era = grown(era_named(record.era_name), added)
    if all(member.key in record.suffixes for member in era.members):
        return record
    outdated = any(
        member.key not in record.suffixes for member in grown(era_named(record.era_name), record.added).members
    )
    passwords = [password for addition in additions_named(added) for password in addition.passwords]
    return replace(
        record,
        added=added,
        suffixes={member.key: record.suffixes.get(member.key) or new_suffix() for member in era.members},
        secrets={**{name: secrets.token_hex(16) for name in passwords}, **record.secrets},
        done=[step for step in record.done if step.startswith("made ") or (step != "serving" and not outdated)],
    )


def new_record(era: Era, *, prefix: str, bridge: str, network: IPv4Network) -> Record:
    values = {name: secrets.token_hex(16) for name in _SECRETS}
    values |= {name: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() for name in _KEYS}
    return Record(
        era_name=era.name,
        prefix=prefix,
        bridge=bridge,
        network=str(network),
        suffixes={member.key: new_suffix() for member in era.members},
        secrets=values,
    )


class Shelf:
    """The folder of records; 0700, since they hold passwords."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, era: Era) -> Path:
        return self.root / era.name

    def read(self, era: Era) -> Record | None:
        path = self.folder(era) / "record.json"
        return Record(**json.loads(path.read_text())) if path.exists() else None

    def records(self) -> list[Record]:
        return [Record(**json.loads(path.read_text())) for path in sorted(self.root.glob("*/record.json"))]

    def write(self, record: Record) -> Record:
        folder = self.folder(record.era)
        make_private(folder)
        write_atomically(folder / "record.json", json.dumps(asdict(record), indent=1))
        return record

    def mark_done(self, record: Record, step: str) -> Record:
        return self.write(replace(record, done=[*record.done, step])) if step not in record.done else record

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One `up` or `down` at a time on a host: both eras share the cache and the host's settings."""
        make_private(self.root)
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise DevswapError(
                    "another devswap sandbox command is at work on this host", hint="wait for it, then try again"
                ) from error
            yield


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace `path` so that a reader, or a host that loses power, sees the old or the new text, never half of one."""
    fresh = path.with_name(f".{path.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
