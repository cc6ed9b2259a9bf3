"""Apache of a simulated machine: what it loaded from its sites when it was last told to read them."""

from __future__ import annotations

from devswap import apache
from tests.simulated.files import Files

UNIT = "apache2.service"
SITES = "/etc/apache2/sites-enabled"
PORTS = "/etc/apache2/ports.conf"
PROGRAM = ["/usr/sbin/apache2", "-k", "start"]


def loaded(files: Files) -> list[str]:
    """The command line that stands for the process: with each port, and the virtualenv behind it."""
    found = []
    for site in _sites(files):
        for host in site.hosts:
            found += [f"{port}={site.process(host).get('python-home', '')}" for port in apache.ports([host])]
    return [*PROGRAM, *sorted(found)]


def ports(files: Files) -> list[tuple[str, int]]:
    """What it listens on, by whichever of its files."""
    said = sorted(set[str]().union(*(apache.listens(site) for site in [_read(files, PORTS), *_sites(files)])))
    return [("0.0.0.0", int(port)) for port in said]


def _sites(files: Files) -> list[apache.Site]:
    return [_read(files, f"{SITES}/{name}") for name in files.names(SITES) if name.endswith(".conf")]


def _read(files: Files, path: str) -> apache.Site:
    text = (files.read(path) or b"").decode()
    return apache.read("".join(line for line in text.splitlines(keepends=True) if not line.startswith("#")))


def home(argv: list[str], port: str) -> str | None:
    """The virtualenv of the application behind `port`; None where nothing listens."""
    return next((word.partition("=")[2] for word in argv if word.startswith(f"{port}=")), None)
