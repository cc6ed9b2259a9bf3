"""Which configuration files each container gets; their text is in templates/."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from devswap.sandbox.addition import Addition, Api
from devswap.sandbox.additions import ADDITIONS
from devswap.sandbox.base import Workshop, venv_path
from devswap.sandbox.eras import Member
from devswap.sandbox.files import File, Folder
from devswap.sandbox.rabbit import definitions
from devswap.sandbox.record import Record
from devswap.sandbox.templates import fill

Entry = File | Folder


class Configuration:
    """The files of one sandbox; everything is known before the first container starts."""

    def __init__(self, record: Record, workshop: Workshop, resolver: str, *, pip: Mapping[str, str]) -> None:
        self.record, self.workshop, self.resolver, self.pip = record, workshop, resolver, pip
        self.era = record.era

    def entries(self, member: Member) -> list[Entry]:
        """What this container gets: what they all get, and what its layer is for."""
        own: dict[str, Callable[[Member], Iterator[Entry]]] = {
            "haproxy": self._haproxy,
            "galera": self._galera,
            "rabbit_mq": self._rabbit_mq,
            "memcached": self._memcached,
            "repo": self._repo,
            "utility": self._utility,
            "git": self._git,
            "keystone": self._keystone,
            "heat": self._heat,
            **dict.fromkeys(ADDITIONS, self._added),
        }
        return [*self._everywhere(member), *own[member.layer](member)]

    def values(self, member: Member) -> dict[str, str]:
        """Everything a template may name."""
        record, era = self.record, self.era
        addresses = {f"{other.key}_address": record.address(other) for other in era.members}
        names = {f"{other.key}_name": record.name(other) for other in era.members}
        return {
            "name": record.name(member),
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, record.name(member))),
            "hostname": record.hostname(member),
            "address": record.address(member),
            "vip": record.vip,
            "version": era.version,
            "wheels_path": self.workshop.wheels_url_path,
            "keystone_venv": venv_path(era, "keystone"),
            **addresses,
            **names,
            **record.secrets,
        }

    def _file(
        self,
        member: Member,
        path: str,
        template: str,
        more: Mapping[str, str] | None = None,
        *,
        owner: str = "root",
        group: str | None = None,
        mode: int = 0o644,
    ) -> File:
        return File(path, fill(template, self.era.name, **self.values(member), **(more or {})), owner, group, mode)

    def _everywhere(self, member: Member) -> Iterator[Entry]:
        record, members = self.record, self.era.members
        lines = [f"{record.address(one)} {record.hostname(one)} {record.name(one)}" for one in members]
        yield File("/etc/hosts", "\n".join(["127.0.0.1 localhost", *lines]) + "\n")
        yield File("/etc/hostname", record.hostname(member) + "\n")
        yield File("/etc/resolv.conf", self.resolver)
        yield self._file(member, "/etc/systemd/journald.conf.d/size.conf", "journald.conf")
        index = "".join(
            f"{name[4:].lower().replace('_', '-')} = {value}\n"
            for name, value in self.pip.items()
            if name.startswith("PIP_")
        )
        path = "/etc/pip.conf" if self.era.name == "current" else "/root/.pip/pip.conf"
        yield self._file(member, path, "pip.conf", {"index": index})

    def _galera(self, member: Member) -> Iterator[Entry]:
        yield self._file(member, "/etc/mysql/mariadb.conf.d/99-cluster.cnf", "cluster.cnf")

    def _rabbit_mq(self, member: Member) -> Iterator[Entry]:
        yield self._file(member, "/etc/rabbitmq/rabbitmq.conf", "rabbitmq.conf")
        yield self._file(member, "/etc/rabbitmq/rabbitmq-env.conf", "rabbitmq-env.conf")
        text = definitions({name: self.record.secrets[f"{name}_rabbit_password"] for name in ("keystone", "heat")})
        yield File("/etc/rabbitmq/definitions.json", text, "root", "rabbitmq", 0o640)

    def _memcached(self, member: Member) -> Iterator[Entry]:
        yield self._file(member, "/etc/memcached.conf", "memcached.conf")

    def _repo(self, member: Member) -> Iterator[Entry]:
        yield self._file(member, "/etc/nginx/sites-enabled/openstack-slushee.vhost", "repo.vhost")
        for project in ("keystone", "heat", "utility"):
            yield File(*constraints_of(self.workshop, project))

    def _utility(self, member: Member) -> Iterator[Entry]:
        yield self._file(member, "/root/openrc", "openrc", mode=0o600)
        yield Folder("/root/.config/openstack", mode=0o700)
        yield self._file(member, "/root/.config/openstack/clouds.yaml", "clouds.yaml", mode=0o600)

    def _git(self, member: Member) -> Iterator[Entry]:
        yield Folder("/srv/git/openstack")
        yield self._file(member, "/etc/systemd/system/git-daemon.service", "git-daemon.service")

    def _haproxy(self, member: Member) -> Iterator[Entry]:
        names = ["00-haproxy", "galera", "heat_api", "heat_api_cfn", "keystone_service", "repo_all"]
        if self.era.name == "2015":
            names.insert(4, "keystone_admin")
        fragments = [self._file(member, f"/etc/haproxy/conf.d/{name}", f"haproxy/{name}", mode=0o644) for name in names]
        if self.era.name == "current":
            yield from fragments
        yield File("/etc/haproxy/haproxy.cfg", "".join(fragment.text for fragment in fragments), mode=0o644)

    def haproxy_fragment(self, addition: Addition, api: Api) -> str:
        """The part of HAProxy's file that is about an API of an addition."""
        servers = [
            f"    server {self.record.name(member)} {self.record.address(member)}:{api.port}"
            f" check port {api.port} inter 12000 rise 3 fall 3\n"
            for member in addition.members
            if api.unit in member.units
        ]
        values = {"vip": self.record.vip, "backend": api.backend, "port": api.port, "servers": "".join(servers)}
        return fill(f"haproxy/{api.fragment}", self.era.name, **values)

    def _keystone(self, member: Member) -> Iterator[Entry]:
        yield Folder("/etc/keystone", "keystone", mode=0o750)
        yield Folder("/var/log/keystone", "keystone", mode=0o755)
        yield self._file(
            member, "/etc/keystone/keystone.conf", "keystone.conf", owner="root", group="keystone", mode=0o640
        )
        for kind, secret in (("fernet-keys", "fernet"), ("credential-keys", "credential")):
            yield Folder(f"/etc/keystone/{kind}", "keystone", mode=0o700)
            for number in ("0", "1"):
                key = self.record.secrets[f"{secret}_key_{number}"]
                yield File(f"/etc/keystone/{kind}/{number}", key, "keystone", mode=0o600)
        yield self._file(member, "/etc/apache2/ports.conf", "ports.conf")
        yield self._file(member, "/etc/apache2/mods-available/mpm_event.conf", "mpm_event.conf")
        yield self._file(member, "/etc/apache2/sites-available/keystone-httpd.conf", "keystone-httpd.conf")
        if self.era.name == "2015":
            for script in ("main", "admin"):
                yield self._file(member, f"/var/www/cgi-bin/keystone/{script}", "keystone-main.wsgi", mode=0o755)
        else:
            yield from self._uwsgi(member, "keystone-wsgi-public", "keystone", "keystone-uwsgi.ini")

    def _heat(self, member: Member) -> Iterator[Entry]:
        yield self._file(member, "/etc/heat/heat.conf", "heat.conf", group="heat", mode=0o640)
        if self.era.name == "2015":
            yield Folder("/var/log/heat", "heat", mode=0o755)
            for unit in member.units:
                yield from self._service(member, unit, "heat", f"{venv_path(self.era, 'heat')}/bin/{unit}")
            return
        for unit, port in (("heat-api", "8004"), ("heat-api-cfn", "8000")):
            module = "heat.wsgi.cfn" if unit.endswith("cfn") else "heat.wsgi.api"
            yield from self._uwsgi(member, unit, "heat", "uwsgi.ini", port=port, module=module)
        yield from self._service(member, "heat-engine", "heat", f"{venv_path(self.era, 'heat')}/bin/heat-engine")

    def _added(self, member: Member) -> Iterator[Entry]:
        """What an addition's containers get: see additions.py."""
        addition, current = ADDITIONS[member.layer], self.era.name == "current"
        name, scripts = addition.name, f"{venv_path(self.era, addition.name)}/bin"
        logs = "use_journal = True" if current else f"log_dir = /var/log/{name}"
        values = {"logs": logs, "user": name, "bin": scripts}
        for path in addition.configs:
            yield self._file(member, path, path.rpartition("/")[2], values, group=name, mode=0o640)
        for folder in (*addition.folders, *([] if current else [f"/var/log/{name}"])):
            yield Folder(folder, name, mode=0o750)
        if addition.as_root:
            rules = "".join(f"{name} ALL = (root) NOPASSWD: {scripts}/{script}\n" for script in addition.as_root)
            more = {**values, "rules": rules}
            yield self._file(member, f"/etc/sudoers.d/{name}_sudoers", "sudoers", more, mode=0o440)
        for unit in (unit for unit in member.units if unit not in addition.of_packages):
            api = addition.api_of(unit)
            if unit == "apache2":  # it has a unit of its own, and its sites are among the files
                continue
            if api and api.module and current:
                more = {"port": str(api.port), "module": api.module}
                yield from self._uwsgi(member, unit, name, "uwsgi.ini", api.arguments, **more)
            else:
                program = addition.programs.get(unit, unit)
                yield from self._service(member, unit, name, f"{scripts}/{program}")

    def _uwsgi(
        self, member: Member, unit: str, project: str, template: str, arguments: str = "", **more: str
    ) -> Iterator[Entry]:
        venv = venv_path(self.era, project)
        yield self._file(
            member, f"/etc/uwsgi/{unit}.ini", template, {"unit": unit, "user": project, "venv": venv, **more}
        )
        uwsgi = f"{venv_path(self.era, 'uwsgi')}/bin/uwsgi"
        reload = f"{uwsgi} --reload /run/{unit}/uwsgi/{unit}.pid"
        start = f"{uwsgi} --autoload --ini /etc/uwsgi/{unit}.ini" + (f' --pyargv "{arguments}"' if arguments else "")
        yield from self._service(member, unit, project, start, reload=reload)

    def _service(self, member: Member, unit: str, project: str, start: str, *,
                 reload: str = "/bin/kill -HUP $MAINPID") -> Iterator[Entry]:  # fmt: skip
        """A unit as OSA's systemd_service role writes one: the unit, its drop-in, its folders in /run."""
        more = {
            "unit": unit,
            "user": project,
            "start": start,
            "reload": reload,
            "bin": f"{venv_path(self.era, project)}/bin",
            "settings": ADDITIONS[project].settings.get(unit, "") if project in ADDITIONS else "",
            "config": ADDITIONS[project].configs[0] if project in ADDITIONS else f"/etc/{project}/{project}.conf",
        }
        yield self._file(member, f"/etc/systemd/system/{unit}.service", "service.service", more)
        yield self._file(member, f"/etc/systemd/system/{unit}.service.d/override.conf", "override.conf", more)
        if self.era.name == "current":
            yield self._file(member, f"/etc/tmpfiles.d/openstack-{unit}.conf", "tmpfiles.conf", more)


def constraints_of(workshop: Workshop, project: str) -> tuple[str, str]:
    """(path, text) of the file in the repository that says which versions a project's virtualenv has."""
    folder = Path("/var/www/repo", workshop.wheels_url_path).parent / "requirements"
    return str(folder / f"{project}-{workshop.era.version}-constraints.txt"), workshop.era.pins(project)
