"""What the sandbox's changes do to neutron, on lines as neutron has them, without the network."""

from __future__ import annotations

import pytest

from devswap.errors import DevswapError
from devswap.sandbox.edits_of_neutron import add_note_to_agents, mark_networks
from devswap.sandbox.releases import SourceFile, Tree

_VERSIONS = "neutron/db/migration/alembic_migrations/versions"
_AGENTS = {
    "neutron/agent/dhcp/agent.py": "'dhcp_driver'",
    "neutron/agent/l3/agent.py": "'agent_mode'",
    "neutron/agent/metadata/agent.py": "'metadata_proxy_socket'",
    "neutron/services/metering/agents/metering_agent.py": "'metering_driver'",
}
_OVS = "neutron/plugins/ml2/drivers/openvswitch/agent/ovs_neutron_agent.py"
_OVN = {
    "neutron/agent/ovn/agent/ovn_neutron_agent.py": "OVN_AGENT_NEUTRON_ID_KEY",
    "neutron/agent/ovn/metadata/agent.py": "OVN_AGENT_METADATA_ID_KEY",
}
_SRIOV = "neutron/plugins/ml2/drivers/mech_sriov/agent/sriov_nic_agent.py"
_METADATA, _COUNTS = "neutron/common/metadata.py", "neutron/services/metering/drivers/iptables/iptables_driver.py"
_PERIODIC = "neutron/db/l3_db.py"
_MAINTENANCE = "neutron/plugins/ml2/drivers/ovn/mech_driver/ovsdb/maintenance.py"
_LINKS, _PROCESSES = "neutron/privileged/agent/linux/ip_lib.py", "neutron/agent/linux/external_process.py"
_FILTERS, _MODEL = "etc/neutron/rootwrap.d/rootwrap.filters", "neutron/db/models/agent.py"
_FILES = {
    "neutron/db/db_base_plugin_common.py": (
        "               'name': network['name'],\n               'name': port['name'],\n"
    ),
    "neutron/db/agents_db.py": (
        "        agent_state = kwargs['agent_state']['agent_state']\n        self._check_clock(agent_state)\n"
    ),
    **{path: f"            'configurations': {{\n                {first}: 1,\n" for path, first in _AGENTS.items()},
    **{path: f"        ext_ids = {{ovn_const.{key}: str(agent_id)}}\n" for path, key in _OVN.items()},
    _OVS: "            'configurations': {'bridge_mappings': self.bridge_mappings,\n"
    "        port_other_config.update(vlan_mapping)\n",
    _SRIOV: "        configurations = {'device_mappings': physical_devices_mappings,\n",
    _METADATA: "                res = self._proxy_request(instance_id, project_id, req)\n",
    _COUNTS: "        rm.iptables_manager.ipv4['filter'].add_rule(\n            label_chain, '', wrap=False)\n",
    _PERIODIC: (
        "        interval = 60 * 5  # only every 5 minutes. cleanups should be rare\n"
        "        to_cleanup = candidates & self._candidate_broken_fip_ports\n"
    ),
    _MAINTENANCE: "                   for opt in ovn_conf.nb_global_opts}\n",
    _LINKS: '    _run_iproute_link("set", device, namespace, **attributes)\n',
    _PROCESSES: "        self.cmd_addl_env[PROCESS_TAG] = process_tag\n",
    _FILTERS: "dnsmasq_env: EnvFilter, env, root, PROCESS_TAG=, dnsmasq\n",
    _MODEL: "    load = sa.Column(sa.Integer, server_default='0', nullable=False)\n",
    f"{_VERSIONS}/2025.2/expand/one.py": "revision = 'one'\ndown_revision = 'kilo'\n",
    f"{_VERSIONS}/2026.1/expand/two.py": "revision = 'two'\ndown_revision = 'one'\n",
    f"{_VERSIONS}/newton/contract/old.py": "revision = 'old'\ndown_revision = 'kilo'\n",
    f"{_VERSIONS}/EXPAND_HEAD": "two\n",
    f"{_VERSIONS}/CONTRACT_HEAD": "old\n",
}


def a_tree() -> Tree:
    return {path: SourceFile(text.encode()) for path, text in _FILES.items()}


def test_servers_and_agents_and_what_runs_as_root_leave_their_marks() -> None:
    texts = {path: file.content.decode() for path, file in mark_networks("mark-1")(a_tree()).items()}
    assert "'name': port['name'] + ' (mark-1)',\n" in texts["neutron/db/db_base_plugin_common.py"]
    heard = texts["neutron/db/agents_db.py"]
    assert heard.index("['agent_state']\n") < heard.index("['heard'] = 'mark-1'\n") < heard.index("self._check_clock")
    assert all("'configurations': {'reported': 'mark-1'," in texts[path] for path in (*_AGENTS, _OVS))
    assert "(vlan_mapping)\n        port_other_config['change'] = 'mark-1'\n" in texts[_OVS]
    assert "        configurations = {'reported': 'mark-1','device_mappings'" in texts[_SRIOV]
    assert all("{'neutron:change': 'mark-1', ovn_const.OVN_AGENT" in texts[path] for path in _OVN)
    assert "b'\\nX-Metadata-Change: mark-1\\n'" in texts[_METADATA]
    assert "label_chain, '-m comment --comment mark-1', wrap=False)\n" in texts[_COUNTS]
    assert texts[_MAINTENANCE].endswith("}\n        options['neutron_change'] = 'mark-1'\n")
    assert "interval = 15\n" in texts[_PERIODIC]
    assert "{'port': {'description': 'found by mark-1'}})\n" in texts[_PERIODIC]
    assert texts[_LINKS].index('["ifalias"] = "mark-1"') < texts[_LINKS].index("_run_iproute_link")
    assert "['CHANGE_TAG'] = 'mark-1'\n" in texts[_PROCESSES]
    assert "root, PROCESS_TAG=, CHANGE_TAG=, dnsmasq\n" in texts[_FILTERS]


def test_each_branch_of_migrations_has_a_new_head_in_the_newest_folder() -> None:
    texts = {path: file.content.decode() for path, file in add_note_to_agents("c0", "de")(a_tree()).items()}
    assert "down_revision = 'two'\n" in texts[f"{_VERSIONS}/2026.1/expand/c0_expand.py"]
    assert "down_revision = 'old'\n" in texts[f"{_VERSIONS}/2026.1/contract/de_contract.py"]
    assert (texts[f"{_VERSIONS}/EXPAND_HEAD"], texts[f"{_VERSIONS}/CONTRACT_HEAD"]) == ("c0\n", "de\n")
    assert "    note = sa.Column" in texts[_MODEL]


def test_a_neutron_without_the_lines_is_an_error() -> None:
    tree = {**a_tree(), _LINKS: SourceFile(b"another release\n")}
    with pytest.raises(DevswapError, match="has not exactly one"):
        mark_networks("mark-1")(tree)
