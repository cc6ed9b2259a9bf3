"""The layers: the base system, what each kind of container adds to it, and the wheels the virtualenvs are made of."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from devswap import process
from devswap.sandbox.additions import ADDITIONS, grown
from devswap.sandbox.eras import Era
from devswap.sandbox.layers import CA_BUNDLE, CONTAINER_PATH, Building, Cache, Layer
from devswap.sandbox.sources import Distribution, host_apt_proxies
from devswap.sandbox.templates import template_text

Say = Callable[[str], None]

_BASE_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "procps", "iproute2", "netbase", "sudo", "curl", "ca-certificates",
    "python3", "python3-venv",
)  # fmt: skip
_LOCAL_CAS = Path("/usr/local/share/ca-certificates")
# what nobody reads in a container costs half of the time to unpack
_DPKG_OPTIONS = """force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
path-include=/usr/share/doc/*/copyright
"""
# timers that would start apt or scrub file systems in every container at once
_IDLE_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dpkg-db-backup.timer",
)


@dataclass(frozen=True)
class Workshop:
    """What every layer of an era is built with."""

    era: Era
    distribution: Distribution
    cache: Cache
    say: Say
    addition: str = ""
    """What is built besides the era's own: see additions.py."""

    def adding(self, name: str) -> Workshop:
        """The one for an addition: with wheels of its own, so that nothing of the era's is built another time."""
        return replace(self, era=grown(self.era, [name]), addition=name)

    @property
    def wheels(self) -> Path:
        return self.cache.folder("wheels", f"{self.era.name}+{self.addition}" if self.addition else self.era.name)

    @property
    def wheels_url_path(self) -> str:
        """Where OSA's repo server has the wheels of a release: below /var/www/repo and below its URL alike."""
        distribution = f"{self.distribution.identity}-{self.distribution.version}-{os.uname().machine}"
        return f"os-releases/{self.era.version}/{distribution}/wheels"


def build_base(workshop: Workshop) -> Layer:
    """The distribution's minimal system with systemd and Python, trusting the certificates that the host trusts."""
    cache, distribution = workshop.cache, workshop.distribution
    bundle = Path(CA_BUNDLE).read_bytes()
    path = cache.layer_path(
        f"base-{distribution.suite}", distribution.sources_list(), *_BASE_PACKAGES, _DPKG_OPTIONS,
        hashlib.sha256(bundle).hexdigest(),
    )  # fmt: skip
    with cache.locked(workshop.say, "base"):
        if not path.exists():
            _build_base(workshop, path)
    return Layer(path)


def _build_base(workshop: Workshop, path: Path) -> None:
    cache, distribution = workshop.cache, workshop.distribution
    workshop.say(f"base system: {distribution.suite} (about a minute, once)")
    folder = cache.fresh_building("base")
    root = folder / "upper"
    process.run(
        [
            "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child",
            "debootstrap", "--variant=minbase", f"--cache-dir={cache.folder('debs', 'base')}",
            f"--include={','.join(_BASE_PACKAGES)}",
            f"--components={','.join(distribution.components)}",
            distribution.suite, str(root), distribution.mirror,
        ],
        env=dict(os.environ) | {"PATH": CONTAINER_PATH, "LC_ALL": "C.UTF-8"},
        timeout=900,
    )  # fmt: skip
    _furnish(root, distribution)
    _finish_in_chroot(root)
    root.rename(path)
    shutil.rmtree(folder)


def _furnish(root: Path, distribution: Distribution) -> None:
    (root / "etc/apt/sources.list").write_text(distribution.sources_list())
    (root / "etc/apt/apt.conf.d/01proxy").write_text(host_apt_proxies())
    (root / "etc/dpkg/dpkg.cfg.d/sandbox").write_text(_DPKG_OPTIONS)
    (root / "etc/machine-id").write_text("")
    (root / "etc/hostname").unlink(missing_ok=True)
    if _LOCAL_CAS.is_dir():
        shutil.copytree(_LOCAL_CAS, root / _LOCAL_CAS.relative_to("/"), dirs_exist_ok=True)
    for unit in _IDLE_UNITS:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")


def _finish_in_chroot(root: Path) -> None:
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    shutil.copyfile("/etc/resolv.conf", resolver)
    environment = {"PATH": CONTAINER_PATH, "LC_ALL": "C.UTF-8"}
    process.run(["chroot", str(root), "update-ca-certificates"], env=environment, timeout=120)
    process.run(["chroot", str(root), "apt-get", "update", "--quiet"], env=environment, timeout=300)


def build_layer(workshop: Workshop, base: Layer, name: str) -> Layer:
    """One kind of container: its packages, then its virtualenvs."""
    era, cache = workshop.era, workshop.cache
    packages, venvs = era.packages[name], era.venvs.get(name, ())
    if not packages and not venvs:
        return base
    pins = [era.pins(venv) for venv in venvs] + ([era.pins("tools")] if venvs else [])
    contents = [str(base.path), *packages, era.version if venvs else "", *pins, _ACCOUNTS.get(name, ""), _recipe()]
    path = cache.layer_path(f"{name}-{era.name}" if venvs else name, *contents)
    if path.exists():
        return Layer(path, base.stack)
    workshop.say(f"layer {name}: {', '.join((*packages, *(f'virtualenv {venv}' for venv in venvs)))}")
    building = Building(cache, path.name, base.stack)
    install(building, cache, name, packages)
    for account in filter(None, [_ACCOUNTS.get(name)]):
        building.run(["useradd", "--system", "--user-group", "--create-home", "--home-dir", f"/var/lib/{account}",
                      "--shell", "/bin/false", "--comment", f"{account} system user", account])  # fmt: skip
    for venv in venvs:
        _make_venv(workshop, building, venv)
    return building.finish(path)


def _recipe() -> str:
    return template_text("install.sh") + template_text("venv.sh")


_ACCOUNTS = {name: name for name in ("heat", "keystone", *ADDITIONS)}


def install(building: Building, cache: Cache, name: str, packages: tuple[str, ...]) -> None:
    """apt in the layer; what it downloads stays in the cache, in a folder per layer because apt locks it."""
    if packages:
        debs = cache.folder("debs", name)
        (debs / "partial").mkdir(exist_ok=True)
        building.script("install.sh", *packages, binds={debs: "/var/cache/apt/archives"})


def venv_path(era: Era, venv: str) -> str:
    """uWSGI's virtualenv names the Python too, as OSA's uwsgi role does."""
    return f"/openstack/venvs/{venv}-{era.version}" + ("-python3" if venv == "uwsgi" else "")


# Where a virtualenv is not called as the package that it is for.
_PACKAGES = {"heat": "openstack-heat", "placement": "openstack-placement", "utility": "python-openstackclient"}


def _make_venv(workshop: Workshop, building: Building, venv: str) -> None:
    era = workshop.era
    path = venv_path(era, venv)
    uv = workshop.cache.root / "tools" / "uv"
    building.script(
        "venv.sh", path, _PACKAGES.get(venv, venv), *era.pins("tools").split(),
        binds={workshop.wheels: "/run/wheels", uv: "/run/uv"}, input=era.pins(venv),
    )  # fmt: skip
    own = building.folder / "upper" / path.lstrip("/") / "etc" / venv
    configured = venv == "heat" or (venv in ADDITIONS and own.is_dir())
    if configured and era.name == "current":
        # OSA links /etc/heat into the virtualenv; before, the files were copied out of it
        building.run(["ln", "-sfn", f"{path}/etc/{venv}", f"/etc/{venv}"])
    elif configured:
        building.run(["cp", "-a", f"{path}/etc/{venv}", f"/etc/{venv}"])
    elif venv == "utility":
        building.run(["ln", "-sfn", f"{path}/bin/openstack", "/usr/local/bin/openstack"])
