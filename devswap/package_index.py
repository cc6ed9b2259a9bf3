"""Where packages come from: the pip settings of production's machine, told apart into its private and its public index.

The private index is what the cloud was installed from: find-links, the index beside `no-index`, and the addresses that
discovery found. The public one is pip's own default, or the index that the machine's settings name instead.
The settings are read, never changed; a pip of ours gets them through its environment, because a service's user cannot
read root's files, and because `PIP_CONFIG_FILE=/dev/null` shuts every other file out.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from devswap.machine import Machine

PRIVATE = "private index"
PUBLIC = "public index"

# pip's order, later wins: global, then root's (production was installed by root), then the virtualenv's
_FILES = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "/root/.pip/pip.conf", "/root/.config/pip/pip.conf")
# What leads to an index. Anything else (target, user, require-hashes …) would change what an install does.
_PASSED_ON = [
    "cert",
    "client-cert",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
    "trusted-host",
    "keyring-provider",
    "no-binary",
    "only-binary",
    "prefer-binary",
    "pre",
    "use-deprecated",
]
# OpenStack-Ansible puts a site's proxy here; a unit does not read it
_PROXIES = re.compile(r"(https?|no|all)_proxy$|(REQUESTS_CA_BUNDLE|SSL_CERT_FILE|SSL_CERT_DIR)$", re.IGNORECASE)


class IndexPolicy(StrEnum):
    """Which indexes may be asked: the private one, the public one too for what is missing there, the public one."""

    PRIVATE = "private"
    FALLBACK = "fallback"
    PUBLIC = "public"


@dataclass(frozen=True)
class Indexes:
    """The indexes of a machine as pip's settings. Addresses may hold secrets: mask before showing."""

    links: tuple[str, ...] = ()
    """Pages or folders of packages: pip's find-links."""
    private: tuple[str, ...] = ()
    """Simple indexes of the cloud's own."""
    public: tuple[str, ...] = ()
    """Simple indexes in order; none: pip's default."""
    options: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    """Proxies and certificates, as variables."""
    is_closed: bool = False
    """The machine's settings know the private index only (no-index), and what they say of releases is of that."""

    @property
    def has_private(self) -> bool:
        return bool(self.links or self.private)

    def ask_private(self, *, beside: str | None = None) -> dict[str, str]:
        """The environment of a pip that knows the private index only, and the folder `beside`."""
        found = self._base([*self.links, *self.private])
        links = [*self.links, *([beside] if beside else [])]
        found["PIP_NO_INDEX"] = "0" if self.private else "1"
        return found | _listed("PIP_FIND_LINKS", links) | _simple(self.private)

    def ask_public(self) -> dict[str, str]:
        """The environment of a pip that knows the public index only.

        `0` and not an empty text: pip takes an empty variable for none at all.
        """
        found = self._base([]) | {"PIP_NO_INDEX": "0"} | _simple(self.public)
        return {name: value for name, value in found.items() if not (self.is_closed and name == "PIP_PRE")}

    def _base(self, trusted: Sequence[str]) -> dict[str, str]:
        options = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in self.options.items()}
        hosts = [*self.options.get("trusted-host", "").split(), *_plain_hosts(trusted)]
        return {
            **self.environment,
            **options,
            **_listed("PIP_TRUSTED_HOST", hosts),
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
        }


def of_machine(
    machine: Machine,
    *,
    virtualenv: str | None,
    environment: Mapping[str, str],
    private_links: Sequence[str] = (),
) -> Indexes:
    """The indexes that pip in `virtualenv` of `machine` would ask, and `private_links`, which discovery knows.

    `environment` is production's own (a unit may name a pip.conf).
    """
    variables = {**_etc_environment(machine), **environment}
    files = [*_FILES, *([f"{virtualenv}/pip.conf"] if virtualenv else [])]
    if own := variables.get("PIP_CONFIG_FILE"):
        files = [] if own == "/dev/null" else [*files, own]
    texts = [text for path in files if (text := machine.read_text(path)) is not None]
    return told_apart(settings(texts, variables), variables, private_links)


def settings(texts: Sequence[str], variables: Mapping[str, str]) -> dict[str, str]:
    """pip's options out of its files (later ones win) and PIP_… variables (which beat them), by long option name."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for text in texts:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(text)
        except configparser.Error:
            continue  # pip would refuse to run; what the other files say still leads to the packages
        for section, found in sections.items():
            if parser.has_section(section):
                found |= {name.replace("_", "-").removeprefix("--"): value for name, value in parser.items(section)}
    named = {key[4:].lower().replace("_", "-"): value for key, value in variables.items() if key.startswith("PIP_")}
    merged: dict[str, str] = {}
    for found in (sections["global"], sections["install"], named):
        merged |= {name: value for name, value in found.items() if value}  # pip ignores empty values
    return merged


def told_apart(found: Mapping[str, str], variables: Mapping[str, str], private_links: Sequence[str]) -> Indexes:
    """Indexes from pip's options: what is used with no-index is private, and so is whatever is no simple index."""
    configured = [*found.get("index-url", "").split(), *found.get("extra-index-url", "").split()]
    beside_no_index = found.get("no-index", "").lower() in ("1", "true", "yes", "on")
    given_indexes = [link for link in private_links if _is_simple(link)]
    given_links = [link for link in private_links if not _is_simple(link)]
    return Indexes(
        links=_unique([*found.get("find-links", "").split(), *given_links]),
        private=_unique(given_indexes),
        public=() if beside_no_index and not configured else _unique(configured),
        options={name: found[name] for name in _PASSED_ON if name in found},
        environment={name: value for name, value in variables.items() if _PROXIES.match(name)},
        is_closed=beside_no_index,
    )


def _is_simple(link: str) -> bool:
    """An index of the PEP 503 kind goes by the name `simple` wherever OpenStack-Ansible or devpi serve one."""
    return urlsplit(link).path.rstrip("/").endswith("simple")


def _etc_environment(machine: Machine) -> dict[str, str]:
    pairs = re.findall(r"^\s*(?:export\s+)?(\w+)=(.*)$", machine.read_text("/etc/environment") or "", re.MULTILINE)
    return {name: value.strip().strip("\"'") for name, value in pairs}


def _simple(indexes: Sequence[str]) -> dict[str, str]:
    if not indexes:
        return {}
    return {"PIP_INDEX_URL": indexes[0]} | _listed("PIP_EXTRA_INDEX_URL", indexes[1:])


def _listed(name: str, values: Sequence[str]) -> dict[str, str]:
    return {name: " ".join(values)} if values else {}


def _plain_hosts(addresses: Sequence[str]) -> list[str]:
    """pip ignores a host without TLS unless told to trust it; a private index on a cloud's inner network has none."""
    parts = [urlsplit(address) for address in addresses if address.startswith("http://")]
    return [part.netloc.rpartition("@")[2] for part in parts]


def _unique(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
