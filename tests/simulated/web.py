"""Apache of a simulated machine: what it loaded from its sites when it was last told to read them."""

from __future__ import annotations

from devswap import apache
from tests.simulated.files import Files

UNIT = "apache2.service"
SITES = "/etc/apache2/sites-enabled"
PROGRAM = ["/usr/sbin/apache2", "-k", "start"]


def loaded(files: Files) -> list[str]:
    """The command line that stands for the process: with each port, and the virtualenv behind it."""
    found = []
    for name in [name for name in files.names(SITES) if name.endswith(".conf")]:
        text = (files.read(f"{SITES}/{name}") or b"").decode()
        shown = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
        site = apache.read(shown)
        for host in site.hosts:
            found += [f"{port}={site.process(host).get('python-home', '')}" for port in apache.ports([host])]
    return [*PROGRAM, *sorted(found)]


def home(argv: list[str], port: str) -> str | None:
    """The virtualenv of the application behind `port`; None where nothing listens."""
    return next((word.partition("=")[2] for word in argv if word.startswith(f"{port}=")), None)
