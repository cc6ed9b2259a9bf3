"""Fetches released source archives from the package index that this host's pip is set up to use.

`pip download` would run each project's build only to learn its name, so the index's own page (PEP 503) is read instead.
Where that page is comes from pip: its settings, and pip's own default; no host is named here.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.util
import os
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from devswap import process
from devswap.errors import DevswapError

_PIPS_OWN_DEFAULT = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
_SECONDS = 60


@dataclass(frozen=True)
class PackageIndex:
    """Where pip looks: the addresses of simple indexes in order, and the certificates to trust (None: the system's)."""

    bases: tuple[str, ...]
    certificates: str | None


def of_this_host() -> PackageIndex:
    """The index as pip's settings (files and environment) name it, or pip's default."""
    python = sys.executable if importlib.util.find_spec("pip") else "python3"
    settings = _settings(process.run([python, "-m", "pip", "config", "list"], timeout=_SECONDS).stdout)
    first = settings.get("index-url") or process.run([python, "-c", _PIPS_OWN_DEFAULT], timeout=_SECONDS).stdout.strip()
    return PackageIndex((first, *settings.get("extra-index-url", "").split()), settings.get("cert"))


def _settings(listing: str) -> dict[str, str]:
    """`pip config list` as {option: value}; the environment beats `download` and `install`, and those beat `global`."""
    found: dict[str, dict[str, str]] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.strip().rpartition(".")
        if section and value:
            found.setdefault(section, {})[option] = str(ast.literal_eval(value.strip()))
    return {
        option: value
        for section in ("global", "install", "download", ":env:")
        for option, value in found.get(section, {}).items()
    }


def kept(folder: Path, name: str, version: str) -> Path:
    """Where `folder` keeps a source archive."""
    return folder / f"{_normal(name)}-{version}.tar.gz"


def download(index: PackageIndex, name: str, version: str, target: Path) -> None:
    """Put the sdist of `name` at `version` at `target`, whole and checked against the index's digest, or raise."""
    for link in _links(index, name):
        address, _, fragment = link.partition("#")
        file_name = urllib.parse.unquote(address.rpartition("/")[2])
        ending = f"-{version}.tar.gz"
        if file_name.endswith(ending) and _normal(file_name.removesuffix(ending)) == _normal(name):
            _save(_fetch(address, index), fragment, target)
            return
    raise DevswapError(
        f"cannot download {name} {version}: no source archive of it on {', '.join(map(_without_account, index.bases))}",
        hint="see `pip config list`: the sandbox is built from the package index that pip uses",
    )


def _links(index: PackageIndex, name: str) -> Iterator[str]:
    """The links of the project's page on each index; extra indexes that are away or lack it are passed over."""
    for position, base in enumerate(index.bases):
        page = f"{base.rstrip('/')}/{_normal(name)}/"
        try:
            text = _fetch(f"{page}index.html" if page.startswith("file:") else page, index).decode(errors="replace")
        except OSError as error:
            if position == 0 and not (isinstance(error, urllib.error.HTTPError) and error.code == 404):
                raise DevswapError(
                    f"cannot read the package index {_without_account(base)}: {error}",
                    hint="see `pip config list`, and try again: what was downloaded already is kept",
                ) from error
            continue
        reader = _Anchors()
        reader.feed(text)
        yield from (urllib.parse.urljoin(page, link) for link in reader.links)


def _fetch(address: str, index: PackageIndex) -> bytes:
    parts = urllib.parse.urlsplit(address)
    headers = {"Accept": "text/html, */*;q=0.5"}
    if parts.username:
        account = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(account.encode()).decode()}"
        address = _without_account(address)
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - the scheme is the user's own pip setting
    trust = ssl.create_default_context(cafile=index.certificates)
    with urllib.request.urlopen(request, timeout=_SECONDS, context=trust) as response:  # noqa: S310
        return bytes(response.read())


def _save(content: bytes, fragment: str, target: Path) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if fragment.startswith("sha256=") and fragment.removeprefix("sha256=") != digest:
        raise DevswapError(
            f"cannot use {target.name}: what arrived is not what the index announced (sha256 {digest})",
            hint="try again; a proxy or mirror on the way may hold a broken copy",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(target)


def _without_account(address: str) -> str:
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _normal(name: str) -> str:
    """PEP 503's spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs).get("href")
        if tag == "a" and link:
            self.links.append(link)
