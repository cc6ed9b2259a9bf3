"""Reads what pip says: what it installed, what it could not find, and why a build failed. Pure: texts in, facts out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from devswap.requirements import combined

_NOT_FOUND = re.compile(
    r"Could not find a version that satisfies the requirement (?P<requirement>.+?)"
    r"(?: \(from [^()]*(?:\([^()]*\))?[^()]*\))*? \(from versions: (?P<versions>[^)]*)\)"
)
_NO_MATCH = re.compile(r"No matching distribution found for (?P<requirement>[^\n]+?)(?: \(from [^\n]*)?$", re.MULTILINE)
# Of pip -vv alone: where it looked in vain. A server that says 4.. answers (some say 403 of what they have not), but
# for one that does not understand (400: it expects TLS), wants to know who asks, or has no time: 408 and 429.
_UNHEARD = re.compile(r"Could not fetch URL (?P<url>\S+): (?!4(?!0[0178]|29)\d\d )(?P<why>[^\n]*) - skipping")
_CAUSE = re.compile(
    r"^\s+(?:\S+ \S+ depends on|The user requested(?: \(constraint\))?) (?P<requirement>.+)$", re.MULTILINE
)
_BUILDING = re.compile(
    r"Failed (?:building|to build) (?:wheel for |installable wheels for .*?\(|editable for |')?"
    r"(?P<name>[A-Za-z0-9][\w.-]*)"
)
_HEADER = re.compile(r"fatal error: (?P<header>[\w./+-]+\.h(?:pp)?): No such file")
_COMPILER = re.compile(
    r"(?:command '(?P<command>[^']+)' failed: No such file"
    r"|No such file or directory: '(?P<file>[\w.+/-]*(?:cc|c\+\+|clang|cargo|rustc)[\w.+-]*)'"
    r"|(?P<rust>can't find Rust compiler))"
)
# What setup.py asks before it compiles: libvirt-python, systemd-python, psycopg2, mysqlclient
_LIBRARY = re.compile(
    r"(?:Package '?(?P<package>[\w.+-]+?)'?,? (?:was not found in the pkg-config|.*not found)"
    r"|No package '(?P<none>[\w.+-]+)' found"
    r"|(?P<program>pg_config|mysql_config|pkg-config)\b[^\n]*(?:not found|No such file)"
    r"|No such file or directory: '(?P<file>pg_config|mysql_config|pkg-config)')"
)
_LIBRARY_PACKAGES = {
    "libvirt": "libvirt-dev",
    "libsystemd": "libsystemd-dev",
    "pg_config": "libpq-dev",
    "mysql_config": "libmariadb-dev",
    "pkg-config": "pkg-config",
}
# By the first part of a header's path: the Debian package that has it
_HEADER_PACKAGES = {
    "Python.h": "python3-dev",
    "lber.h": "libldap-dev",
    "ldap.h": "libldap-dev",
    "sasl": "libsasl2-dev",
    "sasl.h": "libsasl2-dev",
    "ffi.h": "libffi-dev",
    "openssl": "libssl-dev",
    "libvirt": "libvirt-dev",
    "systemd": "libsystemd-dev",
    "libpq-fe.h": "libpq-dev",
    "mysql.h": "libmariadb-dev",
    "libxml": "libxml2-dev",
    "libxslt": "libxslt1-dev",
    "pcre.h": "libpcre3-dev",
    "pcre2.h": "libpcre2-dev",
    "liberasurecode": "liberasurecode-dev",
    "rados": "librados-dev",
    "rbd": "librbd-dev",
    "zlib.h": "zlib1g-dev",
    "yaml.h": "libyaml-dev",
}


@dataclass(frozen=True)
class Missing:
    """A requirement that the asked index has no version for; `versions` are those it has (None: pip did not say)."""

    name: str
    requirement: str
    versions: tuple[str, ...] | None


@dataclass(frozen=True)
class Taken:
    """One package that pip installed, the address it came from, and who asked for it (none: we did)."""

    name: str
    version: str
    address: str
    needed_by: str | None
    sha256: str | None = None


def missing(said: str) -> list[Missing]:
    """What pip found no version of, in the indexes it was told to ask."""
    found: dict[str, Missing] = {}
    for match in _NOT_FOUND.finditer(said):
        versions = tuple(text.strip() for text in match["versions"].split(",") if text.strip() not in ("", "none"))
        _note(found, match["requirement"], versions)
    if not found:
        for match in _NO_MATCH.finditer(said):
            _note(found, match["requirement"], ())
    return list(found.values())


def unheard(said: str) -> tuple[str, str] | None:
    """(address, why) of the first page that did not answer, in the words of pip -vv, which passes it over."""
    found = _UNHEARD.search(said)
    return (found["url"], found["why"]) if found else None


def conflicting(said: str) -> list[Missing]:
    """The requirements that no choice of versions meets; pip does not say which versions there are."""
    found: dict[str, Missing] = {}
    if "ResolutionImpossible" in said or "conflicting dependencies" in said:
        for match in _CAUSE.finditer(said):
            _note(found, match["requirement"].strip(), None)
    return list(found.values())


def by_name(found: Iterable[Missing]) -> list[Missing]:
    """One for each package, asking for all that is asked of it."""
    grouped: dict[str, list[Missing]] = {}
    for each in found:
        grouped.setdefault(each.name, []).append(each)
    return [
        each[0] if len(each) == 1 else Missing(name, combined(one.requirement for one in each), each[0].versions)
        for name, each in grouped.items()
    ]


def _note(found: dict[str, Missing], text: str, versions: tuple[str, ...] | None) -> None:
    """pip writes "a>=1, <3 and !=2", conditions behind; what cannot be read is passed over."""
    try:
        requirement = Requirement(text.split(" (")[0].split(";")[0].replace(" and ", ",").strip())
    except InvalidRequirement:
        return
    found.setdefault(str(requirement), Missing(canonicalize_name(requirement.name), str(requirement), versions))


def taken(report: str) -> list[Taken]:
    """The packages in pip's installation report (its JSON, `pip install --report`)."""
    items: list[dict[str, Any]] = json.loads(report)["install"]
    metadata = [item["metadata"] for item in items]
    return [
        Taken(
            canonicalize_name(item["metadata"]["name"]),
            item["metadata"]["version"],
            item["download_info"]["url"],
            None if item.get("requested") else _asker(item["metadata"]["name"], metadata),
            item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256"),
        )
        for item in items
    ]


def _asker(name: str, metadata: Iterable[Mapping[str, Any]]) -> str | None:
    wanted = canonicalize_name(name)
    for each in metadata:
        names = (canonicalize_name(re.split(r"[^\w.-]", text, maxsplit=1)[0]) for text in each.get("requires_dist", []))
        if wanted in names:
            return str(each["name"])
    return None


@dataclass(frozen=True)
class FailedBuild:
    """A package without a wheel that could not be compiled, and what seems to be missing, if pip's output tells."""

    name: str
    lacks: str | None
    install: str | None
    """The distribution package that has it, where known."""


def failed_build(said: str) -> FailedBuild | None:
    """Which package's compilation failed and for want of what; None if pip failed for another reason."""
    header, compiler, library = _HEADER.search(said), _COMPILER.search(said), _LIBRARY.search(said)
    name = _BUILDING.search(said)
    if not (name or header or compiler):
        return None
    package = name["name"].rstrip(",)") if name else "a requirement"
    if header:
        path = header["header"]
        return FailedBuild(package, f"the header {path}", _HEADER_PACKAGES.get(path.split("/")[0]))
    if compiler:
        if compiler["rust"] or "rust" in compiler[0] or "cargo" in compiler[0]:
            return FailedBuild(package, "a Rust compiler", "rustc cargo")
        program = compiler["command"] or compiler["file"]
        return FailedBuild(package, f"a compiler ({program})", "build-essential python3-dev")
    if library:
        wanted = library["package"] or library["none"] or library["program"] or library["file"]
        return FailedBuild(package, wanted, _LIBRARY_PACKAGES.get(wanted))
    return FailedBuild(package, None, None)
