"""Options that are given several times: in a file that systemd hands to the unit, behind production's own files."""

from __future__ import annotations

import shlex
from itertools import pairwise
from typing import Any

import pytest

from devswap import development, listed_options, swap, tuning
from devswap.errors import UsageError
from devswap.tuning import Changes, Tuning
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences

SERVICE, DRIVER = "heat-engine", "oslo_messaging_notifications.driver"
OWN = f"/run/credentials/{SERVICE}.service/devswap-settings"


def given(*words: str) -> Changes:
    once, lists = tuning.settings(words)
    return Changes(settings=once, lists=lists)


def checkout(cloud: SimulatedCloud, changes: Changes, service: str = SERVICE) -> None:
    swap.checkout(cloud.host(), Wish(service, "plain", None, None, detach=True, changes=changes), cloud.makers)


def drop_in(cloud: SimulatedCloud) -> list[str]:
    return (cloud.machine(images.HEAT).read_text(development.path(f"{SERVICE}.service")) or "").splitlines()


def config_files(cloud: SimulatedCloud) -> list[str]:
    (start,) = [line for line in drop_in(cloud) if line.startswith("ExecStart=") and line != "ExecStart="]
    words = shlex.split(start)
    return [after for word, after in pairwise(words) if word == "--config-file"]


def test_they_come_in_a_file_of_their_own_behind_those_of_production(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    checkout(cloud, given(f"{DRIVER}=log", "a.b=1", f"{DRIVER}=messaging v2", "a.c=x", "a.c=y"))
    assert config_files(cloud) == ["/etc/heat/heat.conf", OWN]
    (told,) = [line for line in drop_in(cloud) if line.startswith("SetCredential=")]
    text = "[oslo_messaging_notifications]\\ndriver = log\\ndriver = messaging v2\\n[a]\\nc = x\\nc = y\\n"
    assert told == f"SetCredential=devswap-settings:{text}"
    (journal,) = cloud.host().journals.all()
    assert Tuning.read(journal.swap.tuning).lines() == [
        f"set: a.b=1, {DRIVER}=log, {DRIVER}=messaging v2, a.c=x, a.c=y"
    ]
    swap.restore(cloud.host(), journal)
    assert differences(cloud, whole) == []


def test_they_are_kept_until_they_are_set_otherwise_or_not_any_more(cloud: SimulatedCloud) -> None:
    checkout(cloud, given(f"{DRIVER}=log", f"{DRIVER}=noop"))
    swap.run(cloud.host(), SERVICE, None, detach=True)
    assert config_files(cloud)[-1] == OWN
    swap.run(cloud.host(), SERVICE, None, detach=True, changes=given(f"{DRIVER}=log"))
    assert config_files(cloud) == []
    assert any(f"OS_{DRIVER.upper().replace('.', '__')}=log" in line for line in drop_in(cloud))
    swap.run(cloud.host(), SERVICE, None, detach=True, changes=given(f"{DRIVER}=log", f"{DRIVER}=noop"))
    assert not any("NOTIFICATIONS__DRIVER" in line for line in drop_in(cloud))
    swap.run(cloud.host(), SERVICE, None, detach=True, changes=Changes(unset=(DRIVER,)))
    assert config_files(cloud) == []


def test_one_value_of_an_option_that_takes_several_is_no_variable(cloud: SimulatedCloud) -> None:
    group, option = DRIVER.split(".")
    groups = {group: [option], "a": ["b"]}
    cloud.options = {"groups": groups, "former": {}, "several": [DRIVER], "failed": []}
    checkout(cloud, given(f"{DRIVER}=log", "a.b=1"))
    assert config_files(cloud) == ["/etc/heat/heat.conf", OWN]
    swap.run(cloud.host(), SERVICE, None, detach=True, changes=given(f"{DRIVER}=messaging, v2", "a.b=2"))
    text = "\n".join(drop_in(cloud))
    assert "OS_A__B=2" in text
    assert "NOTIFICATIONS__DRIVER" not in text
    assert "messaging, v2" in text
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)


def test_nor_may_that_one_value_have_several_lines(cloud: SimulatedCloud) -> None:
    group, option = DRIVER.split(".")
    cloud.options = {"groups": {group: [option]}, "former": {}, "several": [DRIVER], "failed": []}
    with pytest.raises(UsageError, match=f"a value of {DRIVER} has several lines"):
        checkout(cloud, given(f"{DRIVER}=log\n[DEFAULT]\ndebug = true"))
    assert cloud.host().journals.all() == []


def test_what_systemd_reads_as_an_escape_is_escaped() -> None:
    told = listed_options.unit_settings({"a.b": ("C:\\new", "100 %")})
    assert told == {"SetCredential": "devswap-settings:[a]\\nb = C:\\\\new\\nb = 100 %\\n"}


def test_a_command_that_names_its_files_keeps_them_and_gets_one_more(cloud: SimulatedCloud) -> None:
    checkout(cloud, Changes())
    (journal,) = cloud.host().journals.all()
    deployment: dict[str, Any] = {**journal.swap.deployment, "command": ["heat-engine", "--config-file=/etc/x.conf"]}
    journal.describe(deployment=deployment)
    assert listed_options.words(journal.swap, {"a.b": ("1", "2")}) == ["--config-file", OWN]
    assert listed_options.words(journal.swap, {}) == []


def test_what_is_found_beside_the_files_is_not_named_again(cloud: SimulatedCloud) -> None:
    checkout(cloud, Changes())
    (journal,) = cloud.host().journals.all()
    files = ["/etc/heat/heat.conf", "/etc/heat/heat.conf.d/x.conf"]
    journal.describe(deployment={**journal.swap.deployment, "config_files": files})
    assert listed_options.words(journal.swap, {"a.b": ("1", "2")})[:3] == ["--config-file", files[0], "--config-file"]


def test_a_service_that_is_told_of_a_folder_alone_is_refused(cloud: SimulatedCloud) -> None:
    checkout(cloud, Changes())
    (journal,) = cloud.host().journals.all()
    journal.describe(deployment={**journal.swap.deployment, "command": ["heat-engine", "--config-dir", "/etc/heat/x"]})
    with pytest.raises(UsageError, match="is told of a folder of files"):
        listed_options.require_possible(cloud.machine(images.HEAT), journal.swap, ["a.b"])


def test_a_service_of_a_web_server_is_told_another_way(cloud: SimulatedCloud) -> None:
    cloud.with_keystone()
    whole = cloud.take()
    with pytest.raises(UsageError, match="a web server starts keystone") as refused:
        checkout(cloud, given("a.b=1", "a.b=2"), "keystone")
    assert refused.value.hint == "devswap edit keystone /etc/keystone/keystone.conf, for development alone"
    assert differences(cloud, whole) == []
