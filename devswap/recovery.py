"""A unit of this host that gives back, after its restart, what was swapped before: installed and removed by doctor.

Production starts by itself then, since what held it lay in /run; the unit does what is left, the database above all.
"""

from __future__ import annotations

import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import devswap
from devswap import claims, coming_back, development, narrowing, process, transaction, way
from devswap.errors import Busy, DevswapError
from devswap.host import Host
from devswap.journal import Journal, write_durably
from devswap.proof import Restored
from devswap.steps.step import NOTHING_KEPT, Kept
from devswap.undisturbed import undisturbed

UNIT = "devswap-recovery.service"
# After whatever starts the machines. Units of these names that a host does not have are passed over (systemd.unit(5)).
_MACHINES = "local-fs.target network.target lxc-net.service lxc.service docker.service"
_STATE = "# state: "
_AGAIN_SECONDS = 30
_TIMES = 40


@dataclass(frozen=True)
class Recovery:
    """The unit on the host whose file system begins at `root`; `code` is the devswap that it starts."""

    root: Path = Path("/")
    python: str = sys.executable
    code: Path = Path(devswap.__file__).parent

    @property
    def path(self) -> Path:
        return self.root / "etc/systemd/system" / UNIT

    @property
    def has_systemd(self) -> bool:
        """As sd_booted(3) has it."""
        return (self.root / "run/systemd/system").is_dir()

    def installed_for(self) -> Path | None:
        """The state folder that the installed unit looks after; None where there is no unit of this devswap."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        for line in text.splitlines():
            if line.startswith(_STATE):
                state = Path(line.removeprefix(_STATE))
                return state if text == self.text(state) else None
        return None

    def text(self, state: Path) -> str:
        argv = [self.python, "-P", "-m", "devswap.cli", "restore", "--after-restart"]
        return "\n".join(
            [
                "# Installed by `devswap doctor --install-recovery`; `devswap doctor --remove-recovery` takes it away.",
                f"{_STATE}{state}",
                "[Unit]",
                "Description=Give back what devswap had swapped before this host was restarted",
                f"After={_MACHINES}",
                f"RequiresMountsFor={development.quoted([str(state)])}",
                f"ConditionPathExistsGlob={str(state).replace('%', '%%')}/swaps/*/journal.json",
                # A machine may take its time to come up: again and again, and not for ever.
                f"StartLimitIntervalSec={2 * _AGAIN_SECONDS * _TIMES}",
                f"StartLimitBurst={_TIMES}",
                "[Service]",
                "Type=oneshot",
                "WorkingDirectory=/",
                f"Environment={development.quoted([f'DEVSWAP_STATE_DIR={state}'])}",
                f"ExecStart={development.command_line(argv)}",
                "Restart=on-failure",
                f"RestartSec={_AGAIN_SECONDS}",
                "[Install]",
                "WantedBy=multi-user.target",
                "",
            ]
        )

    def install(self, state: Path) -> None:
        """Raises DevswapError where nothing would start the unit, or where it would run what others can write."""
        if not self.has_systemd:
            raise DevswapError(
                "cannot install the recovery: this host's first process is not systemd",
                hint="after a restart of the host type devswap restore, or let root's crontab do it: @reboot",
            )
        _require_roots_own(self.code, Path(self.python))
        text = self.text(state)
        if not self.path.exists() or self.path.read_text(encoding="utf-8") != text:
            write_durably(self.path, text.encode(), mode=0o644)
        process.run(["systemctl", "daemon-reload"])
        process.run(["systemctl", "enable", "--quiet", UNIT])

    def remove(self) -> None:
        """No error where it is not installed."""
        if self.path.exists() and self.has_systemd:
            process.run(["systemctl", "disable", "--quiet", "--now", UNIT])
        self.path.unlink(missing_ok=True)
        (self.path.parent / "multi-user.target.wants" / UNIT).unlink(missing_ok=True)
        if self.has_systemd:
            process.run(["systemctl", "daemon-reload"])
            process.run(["systemctl", "reset-failed", UNIT], ok=(0, 1))  # 1: it is not loaded any more


def is_interrupted(host: Host, journal: Journal) -> bool:
    """Whether a restart, or the death of a devswap, has left the swap behind: nobody works on it or runs it now."""
    claim = host.journals.claim_path(journal.swap.service, journal.swap.machine)
    return claims.holder(claim) is None and _is_left(host, journal)


def restore(host: Host, journal: Journal, kept: Kept = NOTHING_KEPT) -> list[Restored]:
    """Give back what was interrupted; nothing where somebody has it by now, or has given it back.

    Asked once more with the claim: other restores, before this one, may have taken their time.
    """
    swap = journal.swap
    try:
        with (
            transaction.known_or_said(journal),
            claims.held_if_free(host, swap.service, swap.machine, claims.RESTORE),
            undisturbed(host),
        ):
            current = host.journals.find(swap.service, swap.machine)
            if current is None or not _is_left(host, current):
                return []
            return [coming_back.bring_back(host, current, kept)]
    except Busy as error:
        host.say(error.message)
        return []


def _is_left(host: Host, journal: Journal) -> bool:
    """Whether nobody runs it; a narrowing outlives a restart, since it is in HAProxy's files."""
    swap = journal.swap
    if swap.mode in ("preparing", "restoring"):
        return True
    if swap.mode == narrowing.MODE:
        return False
    try:
        machine = host.machine(swap.machine)
        return not machine.is_running() or not way.is_held(machine, swap)
    except DevswapError:
        return True  # its machine is gone: what else there is comes back without it


def _require_roots_own(*paths: Path) -> None:
    for part in (part for path in paths for each in (path, path.resolve()) for part in (each, *each.parents)):
        found = part.stat()
        if found.st_uid != 0 or stat.S_IMODE(found.st_mode) & 0o002:  # Debian gives /usr/local to the group staff
            raise DevswapError(
                f"cannot install the recovery: others than root can write {part}, and root would run it at each boot",
                hint="install devswap as root, where only root can write, and type this with that devswap",
            )
