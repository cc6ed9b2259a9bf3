"""The containers of one sandbox, made, started and taken away together."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock

from devswap.sandbox.additions import ADDITIONS
from devswap.sandbox.base import Workshop
from devswap.sandbox.configuration import Configuration
from devswap.sandbox.containers import Container, running_containers
from devswap.sandbox.eras import Member
from devswap.sandbox.files import EXTRACT, link_tree, write_archive
from devswap.sandbox.layers import Layer
from devswap.sandbox.record import Record, Shelf
from devswap.sandbox.sources import host_pip_environment


class Cloud:
    """One sandbox's record together with its containers on this host."""

    def __init__(self, shelf: Shelf, record: Record, root: Path) -> None:
        self.shelf, self.record, self.root = shelf, record, root
        self._marking = Lock()

    def container(self, member: Member) -> Container:
        return Container(self.root, self.record.name(member))

    def of(self, key: str) -> Container:
        return self.container(self.record.era.member(key))

    def is_done(self, step: str) -> bool:
        return step in self.record.done

    def mark_done(self, step: str) -> None:
        with self._marking:
            self.record = self.shelf.mark_done(self.record, step)

    def make(self, workshop: Workshop, layers: Mapping[str, Layer]) -> None:
        """Define every container that is not yet, with its configuration inside and before its first start."""
        configuration = Configuration(self.record, workshop, host_resolver(), pip=host_pip_environment())
        for member in self.record.era.members:
            if not self.is_done(f"made {member.key}"):
                self._make_one(member, layers[member.layer], configuration)
                self.mark_done(f"made {member.key}")

    def _make_one(self, member: Member, layer: Layer, configuration: Configuration) -> None:
        container, record = self.container(member), self.record
        container.remove()
        container.define(
            layer,
            era=record.era_name,
            bridge=record.bridge,
            address=f"{record.address(member)}/{record.prefix_length}",
            gateway=record.gateway,
            devices=member.devices,
        )
        if member.layer == "repo":
            link_tree(
                configuration.workshop.wheels,
                container.folder / "upper/var/www/repo" / configuration.workshop.wheels_url_path,
            )
        with tempfile.NamedTemporaryFile(prefix="devswap-sandbox-") as archive:
            write_archive(configuration.entries(member), Path(archive.name))
            container.run_before_boot(
                layer,
                [
                    "sh",
                    "-c",
                    f"{' '.join(EXTRACT)} /run/files.tar && {_after_files(record.era_name, member.layer)}",
                ],
                binds={Path(archive.name): "/run/files.tar"},
            )

    def forget_missing(self) -> None:
        """A container that somebody removed is made again, and every step after that repeated: none minds."""
        missing = [member.key for member in self.record.era.members if not self.container(member).defined]
        gone = [f"made {key}" for key in missing if self.is_done(f"made {key}")]
        if gone:
            made = [step for step in self.record.done if step.startswith("made ") and step not in gone]
            self.record = self.shelf.write(replace(self.record, done=made))

    def start(self) -> list[str]:
        """Start what is not running, wait until its systemd is through, and return the names."""
        running = running_containers()
        started = [self.container(member) for member in self.record.era.members]
        started = [container for container in started if container.name not in running]
        for container in started:
            container.start()
        for container in started:
            container.wait_until_booted()
        return [container.name for container in started]

    def remove(self) -> None:
        for member in reversed(self.record.era.members):
            self.container(member).remove()

    def write_inventory(self) -> None:
        """OSA's inventory of this cloud, as a file beside the record: the host's /etc is not the sandbox's."""
        record = self.record
        hostvars = {
            record.name(member): {
                "ansible_host": record.address(member),
                "container_address": record.address(member),
                "container_name": record.name(member),
                "component": member.group,
                "is_metal": False,
                "physical_host": record.prefix,
            }
            for member in record.era.members
        }
        groups: dict[str, dict[str, list[str]]] = {}
        for member in record.era.members:
            groups.setdefault(member.group, {"children": [], "hosts": []})["hosts"].append(record.name(member))
        path = self.shelf.folder(record.era) / "openstack_inventory.json"
        path.write_text(json.dumps({"_meta": {"hostvars": hostvars}, **groups}, indent=4))


_AFTER_FILES: dict[str, dict[str, str]] = {
    "current": {
        "git": "systemctl enable --quiet git-daemon",
        "keystone": "a2enmod -q headers proxy proxy_uwsgi && a2dissite -q 000-default && a2ensite -q keystone-httpd",
        "repo": "rm -f /etc/nginx/sites-enabled/default",
        "horizon": (
            "a2enmod -q headers wsgi && a2dissite -q 000-default && a2ensite -q openstack-dashboard"
            " && usermod --append --groups horizon www-data && cd /openstack/venvs/horizon-*/lib/python3*"
            ' && sed -i "s/PYTHON/$(basename "$PWD")/" /etc/apache2/sites-available/openstack-dashboard.conf'
            " && ln -sf /etc/horizon/local_settings.py site-packages/openstack_dashboard/local/"
        ),
    },
    "2015": {
        "git": "systemctl enable --quiet git-daemon",
        "keystone": "a2enmod -q headers wsgi && a2dissite -q 000-default && a2ensite -q keystone-httpd",
        "repo": "rm -f /etc/nginx/sites-enabled/default",
    },
}


def _after_files(era: str, layer: str) -> str:
    """What is done in a container's tree once its files are there."""
    if layer in ADDITIONS and ADDITIONS[layer].of_packages:
        return f"systemctl disable --quiet {' '.join(ADDITIONS[layer].of_packages)}"
    return _AFTER_FILES[era].get(layer, ":")


def host_resolver() -> str:
    """The host's resolv.conf; where that names a resolver on the host itself, the file with the real servers."""
    text = Path("/etc/resolv.conf").read_text()
    upstream = Path("/run/systemd/resolve/resolv.conf")
    return upstream.read_text() if "nameserver 127." in text and upstream.exists() else text
