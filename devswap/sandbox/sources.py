"""Where packages come from: this host's own apt and pip configuration, so that no registry is named in the code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devswap import process
from devswap.errors import DevswapError

_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")


@dataclass(frozen=True)
class AptSource:
    """One entry of apt's sources: where, which suites, which components."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


@dataclass(frozen=True)
class Distribution:
    """What the containers are made of: the host's own release from the host's own mirrors."""

    identity: str
    version: str
    suite: str
    sources: tuple[AptSource, ...]

    @property
    def mirror(self) -> str:
        """The URI that carries the release itself, not only its updates."""
        return self._release.uri

    @property
    def components(self) -> tuple[str, ...]:
        return self._release.components

    @property
    def _release(self) -> AptSource:
        for source in self.sources:
            if self.suite in source.suites:
                return source
        raise DevswapError(
            f"cannot find a mirror for {self.suite} in this host's apt sources",
            hint="apt-cache policy  # shows the sources apt reads",
        )

    def sources_list(self) -> str:
        lines = [
            f"deb {source.uri} {suite} {' '.join(source.components)}"
            for source in self.sources
            for suite in source.suites
        ]
        return "\n".join(lines) + "\n"


def parse_one_line(text: str) -> list[AptSource]:
    """The classic sources.list format; source packages and comments are left out."""
    matches = (_ONE_LINE.match(line.split("#", 1)[0].strip()) for line in text.splitlines())
    return [
        AptSource(match["uri"], (match["suite"],), tuple(match["components"].split())) for match in matches if match
    ]


def parse_deb822(text: str) -> list[AptSource]:
    """The stanzas of a .sources file (sources.list(5)), without those that are disabled."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        suites, components = tuple(fields.get("suites", "").split()), tuple(fields.get("components", "").split())
        found += [AptSource(uri, suites, components) for uri in fields.get("uris", "").split()]
    return found


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace() and name:
            fields[name] += " " + line.strip()
        elif ":" in line:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def host_distribution(root: Path = Path("/")) -> Distribution:
    """Reads os-release and apt's sources; a third party's repository (other suites) is not taken along."""
    release = _os_release((root / "etc/os-release").read_text())
    suite = release.get("VERSION_CODENAME", "")
    if not suite:
        raise DevswapError(
            f"cannot build containers of {release.get('PRETTY_NAME', 'this system')}: not Debian, not Ubuntu"
        )
    sources = tuple(_belonging_to(suite, _host_sources(root / "etc/apt")))
    return Distribution(release["ID"], release.get("VERSION_ID", ""), suite, sources)


def _os_release(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name: value.strip().strip('"') for name, value in pairs}


def _host_sources(etc_apt: Path) -> list[AptSource]:
    found: list[AptSource] = []
    for path in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]:
        if path.suffix == ".list" and path.exists():
            found += parse_one_line(path.read_text())
        elif path.suffix == ".sources":
            found += parse_deb822(path.read_text())
    return found


def _belonging_to(suite: str, sources: Iterable[AptSource]) -> Iterable[AptSource]:
    for source in sources:
        suites = tuple(name for name in source.suites if name == suite or name.startswith(f"{suite}-"))
        if suites and source.uri.startswith(("http://", "https://")):
            yield AptSource(source.uri, suites, source.components)


def host_apt_proxies() -> str:
    """apt.conf lines with the proxies that the host's apt uses."""
    dump = process.run(["apt-config", "dump"]).stdout.splitlines()
    return "\n".join(line for line in dump if re.match(r"Acquire::https?::Proxy\b", line)) + "\n"


def host_pip_environment() -> dict[str, str]:
    """What pip in a container must be told: the host's index, as far as it can be reached from there."""
    said = process.run([sys.executable, "-m", "pip", "config", "list"], ok=(0, 1, 2), timeout=60).stdout
    return pip_environment(said, os.environ)


def pip_environment(configured: str, environment: Mapping[str, str]) -> dict[str, str]:
    """From the lines of `pip config list` and the environment, without what only this host has (file:, find-links)."""
    options = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", configured, re.MULTILINE))
    for name in ("index-url", "extra-index-url", "trusted-host", "timeout"):
        variable = f"PIP_{name.upper().replace('-', '_')}"
        if variable in environment:
            options[name] = environment[variable]
    passed = {}
    for name in ("index-url", "extra-index-url"):
        reachable = [url for url in options.get(name, "").split() if url.startswith(("http://", "https://"))]
        if reachable:
            passed[f"PIP_{name.upper().replace('-', '_')}"] = " ".join(reachable)
    if "trusted-host" in options:
        passed["PIP_TRUSTED_HOST"] = options["trusted-host"]
    proxies = {
        name: environment[name] for name in environment if name.lower() in ("http_proxy", "https_proxy", "no_proxy")
    }
    return passed | proxies
