"""How development is run as production's own unit: a drop-in that changes the command and nothing else.

User, capabilities, limits, runtime folders and slice stay production's (copying them into a unit of our own loses
some), and a playbook that restarts the unit restarts development. The drop-in lies in /run: a restarted machine runs
production. It holds the unit stopped as long as the gate, a file that only devswap makes, is absent: `systemctl mask`
would do nothing to units in /etc/systemd/system.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from devswap.steps.mount import BASE

NAME = "zz-devswap.conf"
PATIENT = "zy-devswap-patient.conf"
# Development neither forks nor takes a bus name; and an init script, which systemd wraps in a unit of this kind that
# stays active without a process, knows how to stop production's process only.
_SIMPLE = (
    "Type=simple",
    "PIDFile=",
    "RemainAfterExit=no",
    "GuessMainPID=no",
    "KillMode=control-group",
    "ExecStop=",
    "ExecReload=",
)
# What has ended stays so, also where production's unit names codes after which it is restarted whatever Restart= says.
_ONCE = ("Restart=no", "RestartForceExitStatus=")
# Whoever is at a prompt keeps a service from saying that it is ready or alive. Without one they are production's.
_PATIENT = ("TimeoutStartSec=infinity", "WatchdogSec=0", "RuntimeMaxSec=infinity")
_SEAL = "# as devswap wrote it: "
_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True)
class Command:
    """What the unit runs while it is swapped: an argv inside the machine, and settings added to production's."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    simple: bool
    """Production's unit is of a type that expects a fork, a bus name or a word: the development command has none."""
    on_terminal: tuple[str, ...] = ()
    """More words for a run on a terminal."""


def path(unit: str) -> str:
    """Where the drop-in of `unit` lies in its machine."""
    return f"/run/systemd/system/{unit}.d/{NAME}"


def patient_path(unit: str) -> str:
    """Where the drop-in lies that lets a caller of a swapped service wait."""
    return f"/run/systemd/system/{unit}.d/{PATIENT}"


def folder(service: str) -> str:
    """Where everything a swap of `service` brings is mounted."""
    return f"{BASE}/{service}"


def gate(service: str) -> str:
    return f"{folder(service)}/go"


def half_written(path: str) -> str:
    """What a kill in the middle of Machine.write_text leaves beside `path`."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.devswap"


def lent_environment(service: str, borrower: str) -> str:
    """Where production's own settings lie for a unit beside it: see unit_environment.lent."""
    return f"{folder(service)}/environment-{borrower}"


def own_unit(service: str) -> str:
    """What runs development where production has no unit of its own."""
    return f"devswap-{service}.service"


def preparing_units(service: str) -> list[str]:
    """The units that build an overlay, try its imports, and run hooks before production is stopped."""
    return [f"devswap-{service}-{what}.service" for what in ("overlay", "check", "hook")]


def guard_unit(service: str) -> str:
    """The unit in the machine that ends a foreground run when devswap has died."""
    return f"devswap-{service}-guard.service"


def log_name(service: str) -> str:
    """What development is called in systemd's journal, for as long as that keeps it; else all of it is from `env`."""
    return f"devswap-{service}"


def beside_units(service: str) -> str:
    """The pattern of the units that shells and commands beside the service run as."""
    return f"devswap-{service}-beside-*.service"


def guard_pipe(service: str) -> str:
    """Held open by devswap as long as it lives."""
    return f"{folder(service)}/alive"


def drop_in(
    service: str,
    command: Command,
    *,
    terminal: str | None,
    settings: Mapping[str, str] = MappingProxyType({}),
    patient: bool = False,
) -> str:
    """The drop-in's text. `terminal` is the device of a foreground run; without one, output goes to the journal.

    `settings` are more of the unit's. `patient` is for somebody who stops it from elsewhere.
    """
    lines = [
        "[Unit]",
        f"AssertPathExists={gate(service)}",
        "StartLimitIntervalSec=0",
        "[Service]",
        *(_SIMPLE if command.simple else []),
        "ExecStart=",
        f"ExecStart={command_line(overriding(command.argv, command.environment))}",
        *_ONCE,
        *(f"{name}={value}" for name, value in settings.items()),
        f"SyslogIdentifier={log_name(service)}",
        *(_PATIENT if patient or terminal is not None else ()),
        *_streams(terminal),
    ]
    return _sealed(service, lines)


def held(service: str) -> str:
    """The drop-in of a peer that is only stopped."""
    return _sealed(service, ["[Unit]", f"AssertPathExists={gate(service)}", "[Service]", *_ONCE])


def _sealed(service: str, lines: Sequence[str]) -> str:
    text = "\n".join(lines) + "\n"
    told = f"# {service} is taken over by devswap; `devswap restore {service}` gives production back"
    return f"{told}\n{_SEAL}{_digest(text)}\n{text}"


def is_as_written(text: str) -> bool:
    """Whether a drop-in is one of ours, whichever, and nobody has edited it: it says the digest of its own settings."""
    told, _, rest = text.partition("\n")
    seal, _, settings = rest.partition("\n")
    return " is taken over by devswap; " in told and seal == f"{_SEAL}{_digest(settings)}"


def _digest(settings: str) -> str:
    return hashlib.sha256(settings.encode()).hexdigest()[:16]


def overriding(argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """`argv` with `environment` added to what its unit gives it, whatever that is.

    By env(1), since a unit's EnvironmentFile= wins over every Environment=. What would lead Python back to production's
    code is taken out.
    """
    unset = [word for name in ("PYTHONPATH", "PYTHONHOME") for word in ("-u", name)]
    return ["/usr/bin/env", *unset, *(f"{name}={value}" for name, value in sorted(environment.items())), *argv]


def _streams(terminal: str | None) -> list[str]:
    if terminal is None:
        return ["StandardInput=null", "StandardOutput=journal", "StandardError=journal"]
    return [
        "StandardInput=tty-force",
        "StandardOutput=tty",
        "StandardError=tty",
        f"TTYPath={terminal}",
        "TTYReset=no",
        "TTYVHangup=no",
    ]


def command_line(argv: Sequence[str]) -> str:
    """`argv` as ExecStart= wants it (systemd.service(5)): quoted, and a dollar sign twice, or it names a variable."""
    return quoted([word.replace("$", "$$") for word in argv])


def quoted(argv: Sequence[str]) -> str:
    """`argv` in systemd's own quoting (systemd.syntax(7)): % is its specifier, and \\ escapes inside quotes.

    Nothing in it ends the line: a line feed in a setting would begin another.
    """
    return " ".join('"' + word.translate(_QUOTED) + '"' for word in argv)
