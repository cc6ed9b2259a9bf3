"""The sandbox as the integration tests see it: looked at with lxc-attach and the tools of the containers themselves.

Nothing here goes through devswap's own looking: what devswap says of production is what the tests hold against this.
"""

from __future__ import annotations

import csv
import difflib
import json
import re
import secrets
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devswap import sandbox
from devswap.sandbox import changes, releases
from devswap.sandbox.changes import Change

ENGINE = "heat-engine"
STACKS = "integration-"
TEMPLATE = """
heat_template_version: 2016-10-14
resources:
  word: {type: "OS::Heat::RandomString", properties: {length: 40}}
outputs:
  word: {value: {get_attr: [word, value]}}
"""
_CREATE = """
exec 2>&1
. /root/openrc
cat >/root/integration.yaml
openstack stack create --wait -t /root/integration.yaml -f value -c stack_status "$1" | tail -n 1
openstack stack output show -f value -c output_value "$1" word
"""
_BALANCED = """
import socket
with socket.socket(socket.AF_UNIX) as admin:
    admin.connect("/var/run/haproxy.stat")
    admin.sendall(b"show stat\\n")
    print(admin.makefile().read())
"""
# What of production a swap could touch, each with what a restore must bring back. Times of files are part of it: a
# file that was written and put back is not the file that was there.
_LOOK = r"""
exec 2>/dev/null
section() { printf '\n== %s\n' "$1"; }
engine() { systemctl show heat-engine --value -p "$1"; }
section configuration
find -L /etc/heat/ -type f -printf '%p %s %T@ %U:%G %m\n' | sort
find -L /etc/heat/ -type f -exec sha256sum {} + | sort
section venvs
find /openstack/venvs -printf '%p %y %s %T@ %U:%G %m\n' | sort | sha256sum
section 'unit files'
systemctl cat heat-engine
section units
for folder in /etc/systemd/system /run/systemd/system /run/systemd/transient /run/systemd/generator.late; do
    find $folder -mindepth 1 -printf '%p %l\n' | sort
done
for unit in UNITS; do
    section "$unit"
    systemctl show "$unit" -p ActiveState,SubState,UnitFileState,DropInPaths,FragmentPath,User,Environment
done
section 'units of devswap'
systemctl list-units --all --plain --no-legend 'devswap*'
section run
ls -A /run | grep -v '^initctl$'
find /run/devswap
section mounts
cut -d' ' -f5,6 /proc/1/mountinfo | grep -v ^/run/credentials | sort
section 'mounts of processes'
grep -l ' /run/devswap' /proc/[0-9]*/mountinfo
section command
readlink /proc/$(engine MainPID)/exe
engine ExecStart | sed 's/ ; ignore_errors=.*//'
section processes
cat /proc/[0-9]*/cmdline | tr '\0' '\n' | grep '[/]run/devswap/'
section users
sha256sum /etc/passwd /etc/group
ls -d /etc/sudoers.d/*
"""


@dataclass(frozen=True)
class Ran:
    """A process that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


@dataclass(frozen=True)
class Stack:
    name: str
    word: str
    """The random string that the engine made."""


@dataclass(frozen=True)
class Cloud:
    """One era's sandbox, which serves."""

    era: str
    containers: dict[str, str]
    """Address by name."""

    def container(self, kind: str) -> str:
        return next(name for name in self.containers if kind in name.replace("_", "-"))

    @property
    def heat(self) -> str:
        """The container of heat-engine."""
        return self.container("-heat-engine-" if self.era == "2015" else "-heat-api-")

    @property
    def heat_api(self) -> str:
        """The container of heat-api and heat-api-cfn."""
        return self.container("-heat-api")

    @property
    def git(self) -> str:
        return f"git://{self.containers[self.container('-git-')]}/openstack"

    def release(self) -> str:
        """The tag of what production runs."""
        return releases.production_version("heat", self.era)

    def change(self, purpose: str, project: str = "heat") -> Change:
        return changes.change(project, purpose, self.era)

    def run(self, argv: list[str], *, on: str | None = None, text: str | None = None, ok: bool = True) -> Ran:
        """Run `argv` as root in heat-engine's container, or in the container `on`."""
        line = ["lxc-attach", "--clear-env", "-n", on or self.heat, "--", *argv]
        ended = subprocess.run(line, input=text, capture_output=True, text=True, timeout=180, check=False)
        if ok:
            assert ended.returncode == 0, f"{argv}: {ended.stdout}{ended.stderr}"
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def sh(self, script: str, *words: str, on: str | None = None, ok: bool = True) -> str:
        return self.run(["sh", "-c", script, "sh", *words], on=on, ok=ok).stdout.strip()

    def sql(self, statement: str, database: str = "heat") -> str:
        return self.run(
            ["mariadb", "--batch", "--skip-column-names", database], on=self.container("-galera-"), text=statement
        ).stdout.strip()

    def schema(self, database: str = "heat") -> str:
        """The schema with its revisions, from the server's own dump tool; counters of rows left out."""
        tool = ["mariadb-dump", "--no-data", "--skip-comments", "--compact", database]
        text = self.run(tool, on=self.container("-galera-")).stdout
        revisions = self.sql("SELECT * FROM alembic_version ORDER BY 1", database)
        return re.sub(r" AUTO_INCREMENT=\d+", "", text) + revisions

    def create_stack(self) -> Stack:
        """A new stack, made by whatever engine serves now."""
        self.wait_for_api()
        name = f"{STACKS}{secrets.token_hex(4)}"
        script = ["sh", "-c", _CREATE, "sh", name]
        status, _, word = self.run(script, on=self.container("-utility-"), text=TEMPLATE).stdout.strip().partition("\n")
        assert status == "CREATE_COMPLETE", f"{status} {word}"
        return Stack(name, word)

    def has_stack(self, stack: Stack) -> bool:
        return self.sql(f"SELECT COUNT(*) FROM stack WHERE name = '{stack.name}'") == "1"

    def delete_stacks(self) -> None:
        """Those that `create_stack` made."""
        names = self.sql(f"SELECT name FROM stack WHERE name LIKE '{STACKS}%' AND deleted_at IS NULL").split()
        delete = '. /root/openrc; exec openstack stack delete --yes --wait "$@"'
        if names:
            self.run(["sh", "-c", delete, "sh", *names], on=self.container("-utility-"), ok=False)

    def show(self, *properties: str, unit: str = ENGINE) -> dict[str, str]:
        names = [word for name in properties for word in ("-p", name)]
        out = self.run(["systemctl", "show", *names, unit]).stdout
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def start_of_production(self) -> dict[str, str]:
        """Changes with every start, so that equality means that production was never stopped."""
        return self.show("MainPID", "ExecMainStartTimestampMonotonic", "NRestarts", "ActiveState")

    def engine_processes(self) -> list[str]:
        """Command lines of everything that runs as the service's user, and of all that comes from a checkout."""
        script = 'for p in /proc/[0-9]*; do printf "%s %s\\n" "$(stat -c %U $p)" "$(tr "\\0" " " <$p/cmdline)"; done'
        lines = self.sh(f"exec 2>/dev/null; {script}").splitlines()
        return [line for line in lines if line.startswith("heat ") and "uwsgi" not in line]

    def look(self) -> dict[str, str]:
        """Everything about production that a restore must bring back, by section."""
        units = "heat-engine" if self.era == "2015" else "heat-engine heat-api heat-api-cfn"
        return {**self._sections(_LOOK.replace("UNITS", units)), "schema": self.schema()}

    def look_at(self, project: str, unit: str, container: str) -> dict[str, str]:
        """The same of another service, but for its database."""
        script = _LOOK.replace("UNITS", unit).replace("heat-engine", unit).replace("/etc/heat/", f"/etc/{project}/")
        return self._sections(script, container)

    def _sections(self, script: str, container: str | None = None) -> dict[str, str]:
        text = self.run(["sh", "-c", script], on=container, ok=False).stdout
        return dict(part.split("\n", 1) for part in text.split("\n== ")[1:] if "\n" in part)

    def wait_for_production(self) -> None:
        """Until production's engine is what runs, settled and asked for work, and its API can be reached."""
        wait_until(lambda: self.show("ActiveState")["ActiveState"] == "active", f"{ENGINE} runs in {self.heat}")
        wait_until(lambda: self.consumers() > 0, f"{ENGINE} of {self.era} consumes its queue")
        self.wait_for_api()

    def wait_for_api(self) -> None:
        """Until HAProxy sends calls to heat-api.

        A call that no engine answers holds the API's worker for a minute: HAProxy takes it for dead meanwhile, and
        believes in it again after three checks that are 12 s apart.
        """
        wait_until(self._api_is_balanced, f"HAProxy of {self.era} has heat-api up", seconds=150)

    def _api_is_balanced(self) -> bool:
        table = self.run(["python3", "-c", _BALANCED], on=self.container("-haproxy-")).stdout
        rows = csv.DictReader(table.removeprefix("# ").splitlines())
        return any(
            row["pxname"] == "heat_api-back" and row["svname"] == "BACKEND" and row["status"] == "UP" for row in rows
        )

    def consumers(self) -> int:
        """How many listen on the queue of this container's engine, as the broker's own tool says."""
        host = self.sh("hostname")
        listed = self.sh("rabbitmqctl --quiet list_queues -p /heat name consumers", on=self.container("-rabbit-mq-"))
        return sum(int(line.split()[1]) for line in listed.splitlines() if line.startswith(f"engine.{host}\t"))


def find(era: str) -> Cloud | None:
    """The sandbox of an era, if there is one."""
    found = [each for each in sandbox.status() if each.era == era]
    return Cloud(era, {one.name: one.address for one in found[0].containers}) if found else None


def wait_until(true: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


def swaps(text: str) -> list[dict[str, Any]]:
    """The swaps in what `devswap status --json` prints."""
    read = json.loads(text)
    assert read["version"] == 1
    found: list[dict[str, Any]] = read["swaps"]
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The lines of each section that are not the same."""
    found = []
    for name in sorted({*before, *after}):
        old, new = before.get(name, "").splitlines(), after.get(name, "").splitlines()
        found += [f"{name}: {line}" for line in difflib.unified_diff(old, new, lineterm="", n=0)][:20]
    return found


def certificate(folder: Path) -> str:
    """One that nobody has signed, with its key."""
    key, own = folder / "key.pem", folder / "own.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    line = [*request, "-subj", "/CN=own.example", "-keyout", str(key), "-out", str(own)]
    subprocess.run(line, check=True, capture_output=True)
    return own.read_text() + key.read_text()


def host_mounts() -> list[str]:
    """Mounts of devswap that leaked to the host."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if " /run/devswap" in line]
