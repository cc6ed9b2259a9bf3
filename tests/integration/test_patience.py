"""A caller that would give up is made to wait for a prompt: a real heat-api, which calls a real heat-engine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from devswap.sandbox.changes import HARMLESS
from tests.integration.asking import SERVICE, begin, begin_calls
from tests.integration.cloud import Cloud
from tests.integration.people import Desk
from tests.integration.test_foreground import PROMPT, stop

pytestmark = pytest.mark.sandbox

SECONDS = 5
_FOLDER = "/etc/systemd/system/heat-api.service.d"
_SHORTEN = f"""
mkdir -p {_FOLDER}
printf '[Service]\\nEnvironment=OS_DEFAULT__RPC_RESPONSE_TIMEOUT={SECONDS}\\n' >{_FOLDER}/short.conf
systemctl daemon-reload && systemctl restart heat-api
"""
_AS_BEFORE = f"""
rm {_FOLDER}/short.conf && rmdir --ignore-fail-on-non-empty {_FOLDER}
systemctl daemon-reload && systemctl restart heat-api
"""


@pytest.fixture
def impatient(cloud: Cloud, whole: None) -> Iterator[None]:
    """heat-api of production waits for a few seconds alone, as a playbook might have it."""
    cloud.sh(_SHORTEN, on=cloud.heat_api)
    cloud.wait_for_api()
    yield
    cloud.sh(_AS_BEFORE, on=cloud.heat_api)
    cloud.wait_for_api()


def begin_to_ask(cloud: Cloud) -> subprocess.Popen[str]:
    """heat-api, which asks heat-engine."""
    script = ". /root/openrc; exec openstack orchestration resource type list -f value"
    return begin(cloud, cloud.container("-utility-"), "sh", "-c", script)


@pytest.mark.minutes
@pytest.mark.usefixtures("impatient")
def test_a_caller_gives_up_at_a_prompt_unless_it_is_made_to_wait(cloud: Cloud, desk: Desk) -> None:
    stops = ("--break", f"{SERVICE}.list_resource_types")
    taking = ("checkout", "heat-engine", f"review/{cloud.change(HARMLESS).number}", "--machine", cloud.heat, *stops)
    terminal = desk.terminal(*taking, columns=200)
    terminal.timeout = 240  # on a host that is busy with other tests
    terminal.expect("answers from")
    cloud.wait_for_api()
    asked = begin_to_ask(cloud)
    terminal.expect(PROMPT)
    said = asked.communicate(timeout=200)[0]  # while somebody is at the prompt
    assert asked.returncode != 0, said
    terminal.sendline("c")
    waits_longer = begin_calls(cloud)
    terminal.expect(PROMPT)
    terminal.sendline("c")
    assert waits_longer.communicate(timeout=200)[0].split() == ["3"]
    stop(terminal)

    terminal = desk.terminal(*taking, "--patient", columns=200)
    terminal.timeout = 240
    terminal.expect(r"heat-api\S* in .*: restarted, now and at the restore")
    terminal.expect("answers from")
    cloud.wait_for_api()
    asked = begin_to_ask(cloud)
    terminal.expect("the caller of this RPC method waits 3600 s")
    terminal.expect(PROMPT)
    time.sleep(SECONDS + 3)
    assert asked.poll() is None
    terminal.sendline("c")
    assert "OS::Heat::RandomString" in asked.communicate(timeout=200)[0]
    assert asked.returncode == 0
    stop(terminal)
    assert "facts identical" in desk.restore().stdout
