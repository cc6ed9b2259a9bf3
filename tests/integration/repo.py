"""The sandbox's repository container as tests add to it: packages and constraints, gone again afterwards."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.integration.cloud import Cloud

_ROOT = "/var/www/repo"


@dataclass(frozen=True)
class Repo:
    """What it serves, by paths below its root."""

    cloud: Cloud

    @property
    def name(self) -> str:
        return self.cloud.container("-repo-")

    @property
    def wheels(self) -> str:
        """The folder of the private index."""
        (found,) = self.cloud.sh(f"cd {_ROOT}; ls -d os-releases/*/*/wheels", on=self.name).split()
        return found

    @property
    def constraints(self) -> str:
        """Where a cloud of the era keeps the upper constraints of its branch."""
        old = "os-releases/12.0.0/requirements_constraints.txt"
        return old if self.cloud.era == "2015" else "constraints/upper_constraints_cached.txt"

    def page(self, path: str) -> str:
        return f"http://{self.cloud.containers[self.name]}:8181/{path}"

    @contextmanager
    def with_files(self, files: Mapping[str, bytes]) -> Iterator[None]:
        """While it serves these besides."""
        write = f'cd {_ROOT}; mkdir -p "$(dirname "$1")"; base64 -d >"$1"'
        remove = f'cd {_ROOT}; rm -f "$@"; for path; do rmdir -p --ignore-fail-on-non-empty "$(dirname "$path")"; done'
        try:
            for path, content in files.items():
                line = ["sh", "-c", write, "sh", path]
                self.cloud.run(line, on=self.name, text=base64.b64encode(content).decode())
            yield
        finally:
            self.cloud.sh(remove, *files, on=self.name, ok=False)
