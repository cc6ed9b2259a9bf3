"""What a cloud's own repository containers offer: the wheels it was built from, and the constraints of its branch."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from devswap import apache, ports
from devswap.discovery.units import are_of_one_cloud
from devswap.machine import Machine, while_running

_ROOT = "/var/www/repo"
_RELEASES = f"{_ROOT}/os-releases"
# OpenStack-Ansible keeps OpenStack's own list here, as its branch had it; its HAProxy asks for it to see who is up
_CONSTRAINTS = f"{_ROOT}/constraints/upper_constraints_cached.txt"
_PORT = 8181
_ANY = ("0.0.0.0", "[::]")  # noqa: S104 - told by the kernel
_SITES = ("/etc/apache2/sites-enabled", "/etc/httpd/conf.d", "/etc/nginx/sites-enabled", "/etc/nginx/conf.d")
_NGINX_WITH_TLS = re.compile(rf"^\s*listen\s+(\S+:)?{_PORT}\s[^;]*\bssl\b", re.MULTILINE)
# In its first years one lay in the folder of each release, from Newton on in that of each system below it
_OLD_CONSTRAINTS = "requirements_constraints.txt"


@dataclass(frozen=True)
class Published:
    """A list of constraints, and where it lies."""

    text: str
    place: str


def private_links(of: Machine, machines: Iterable[Machine]) -> tuple[str, ...]:
    """Where the repository containers serve the wheels they built for the cloud of `of`, as addresses."""
    return tuple(link for machine in _own(of, machines) for link in while_running(machine, _wheels) or ())


def constraints(of: Machine, machines: Iterable[Machine]) -> Published | None:
    """The upper constraints that the cloud of `of` was built with; None where no container has them.

    What lies beside the wheels, one file for each virtualenv, is something else: the versions that production happens
    to have.
    """
    for machine in _own(of, machines):
        if found := while_running(machine, _constraints):
            return found
    return None


def _own(of: Machine, machines: Iterable[Machine]) -> list[Machine]:
    """The containers of one cloud share the first word of their names (aio1-…, aio1_…).

    This host has no such word: all the containers on it may be its own.
    """
    return [each for each in machines if of.address == "local:" or are_of_one_cloud(each.name, of.name)]


def _wheels(machine: Machine) -> list[str]:
    folders = [each for each in _folders(machine) if any(name.endswith(".whl") for name in machine.names(each))]
    if not folders:
        return []
    found, places, scheme = [folder.removeprefix(_ROOT) for folder in folders], _places(machine), _scheme(machine)
    return [f"{scheme}://{address}:{_PORT}{folder}/" for folder in found for address in places]


def _folders(machine: Machine) -> Iterator[str]:
    """Where the wheels of a release may be, the newest release first: until Mitaka, until Queens, and since."""
    for release in sorted(machine.names(_RELEASES), reverse=True):
        yield f"{_RELEASES}/{release}"
        for system in machine.names(f"{_RELEASES}/{release}"):
            if machine.is_folder(f"{_RELEASES}/{release}/{system}"):
                yield f"{_RELEASES}/{release}/{system}"
                yield f"{_RELEASES}/{release}/{system}/wheels"


def _places(machine: Machine) -> list[str]:
    """The container's addresses that its web server listens on: the one on LXC's own bridge is none of them today.

    All of them where it does not run: whoever asks is then told that the page does not answer.
    """
    served = ports.addresses(machine, _PORT)
    return [each for each in machine.addresses() if not served or served & {each, *_ANY}]


def _scheme(machine: Machine) -> str:
    """https where its web server has TLS behind HAProxy, too (repo_backend_ssl), with the cloud's own authority."""
    names = [posixpath.join(folder, name) for folder in _SITES for name in machine.names(folder)]
    texts = [text for path in names if not machine.is_folder(path) and (text := machine.read_text(path))]
    urls = [url for text in texts for host in apache.read(text).hosts for url in host.urls]
    in_tls = any(url.startswith("https:") and url.endswith(f":{_PORT}") for url in urls)
    return "https" if in_tls or any(_NGINX_WITH_TLS.search(text) for text in texts) else "http"


def _constraints(machine: Machine) -> Published | None:
    for path in (_CONSTRAINTS, *(f"{folder}/{_OLD_CONSTRAINTS}" for folder in _folders(machine))):
        if text := machine.read_text(path):
            return Published(text, f"{path} of {machine.name}")
    return None
