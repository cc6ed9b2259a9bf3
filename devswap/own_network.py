"""Units without a network, also in containers whose kernel gives a unit none of its own.

Before Linux 6.2 AppArmor lets no unit of an LXC container have PrivateNetwork=: systemd may not lock the socket by
which it hands the network on, and ends the unit before its program begins (https://github.com/lxc/lxc/issues/4333).
Debian 12 and Ubuntu 22.04 are such hosts of OpenStack-Ansible. Their units are kept from the network by its addresses.
"""

from __future__ import annotations

from collections.abc import Mapping

PRIVATE = "PrivateNetwork"
_FILTERED = {"IPAddressDeny": "any", "IPAddressAllow": "localhost"}
_EXIT_NETWORK = 225  # systemd.exec(5), "Process Exit Codes"


def otherwise(properties: Mapping[str, str], code: int, said: str = "") -> dict[str, str] | None:
    """The properties to try after a unit with `properties` ended so; None where it was not for want of a network.

    `said` is what systemd-run wrote: a newer one waits for the program to begin, and has an exit code of its own.
    """
    if PRIVATE not in properties or not (code == _EXIT_NETWORK or said.lstrip().startswith("Job for ")):
        return None
    return {name: value for name, value in properties.items() if name != PRIVATE} | _FILTERED
