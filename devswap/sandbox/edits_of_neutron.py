"""What the sandbox's changes do to a release of neutron; see edits.py."""

from __future__ import annotations

import re

from devswap.sandbox.edits import LICENCE, Edit, add_column, head_of, migration, replace_once
from devswap.sandbox.releases import SourceFile, Tree

_VERSIONS = "neutron/db/migration/alembic_migrations/versions"
_FILTERS = "etc/neutron/rootwrap.d/rootwrap.filters"
_OVS_AGENT = "neutron/plugins/ml2/drivers/openvswitch/agent/ovs_neutron_agent.py"
_METERING = "neutron/services/metering"
# In OVN's agents, how each registers itself.
_REGISTERS = {
    "neutron/agent/ovn/agent/ovn_neutron_agent.py": "        ext_ids = {ovn_const.OVN_AGENT_NEUTRON_ID_KEY: str(",
    "neutron/agent/ovn/metadata/agent.py": "        ext_ids = {ovn_const.OVN_AGENT_METADATA_ID_KEY: str(",
}
_MAINTENANCE = "neutron/plugins/ml2/drivers/ovn/mech_driver/ovsdb/maintenance.py"
# In each agent, the line after which it says what it is configured for.
_REPORTS = {
    "neutron/agent/dhcp/agent.py": "            'configurations': {\n                'dhcp_driver'",
    "neutron/agent/l3/agent.py": "            'configurations': {\n                'agent_mode'",
    "neutron/agent/metadata/agent.py": "            'configurations': {\n                'metadata_proxy_socket'",
    _OVS_AGENT: "            'configurations': {'bridge_mappings'",
    f"{_METERING}/agents/metering_agent.py": "            'configurations': {\n                'metering_driver'",
    "neutron/plugins/ml2/drivers/mech_sriov/agent/sriov_nic_agent.py": "        configurations = {'device_mappings'",
}


def mark_networks(mark: str) -> Edit:
    """Networks, ports, agents and what those run show who has shown or made them.

    The API has `mark` behind the names of networks and ports, the RPC server says that it has heard of an agent, and
    each agent that it has reported. The agent of layer 2 has noted it at each port that it has wired, that of metadata
    names itself in each answer, and that of metering in the rules by which it counts; the periodic worker says of a
    floating address's port that nobody has finished that it has found it, before it deletes it. OVN's agents have the
    mark in OVN's database, and so has the worker that looks after that. What runs as root shows itself too: a device
    that privileged code has changed has the mark as its alias, and dnsmasq has it in its environment, for which
    rootwrap has a filter.
    """

    def edit(tree: Tree) -> Tree:
        path = "neutron/db/db_base_plugin_common.py"
        for what in ("network", "port"):
            name = f"               'name': {what}['name'],\n"
            tree = replace_once(tree, path, name, name.replace("'],", f"'] + ' ({mark})',"))
        given = "        agent_state = kwargs['agent_state']['agent_state']\n        self._check"
        heard = f"        agent_state.setdefault('configurations', {{}})['heard'] = '{mark}'\n"
        said = given.replace("        self._check", f"{heard}        self._check")
        tree = replace_once(tree, "neutron/db/agents_db.py", given, said)
        for path, first in _REPORTS.items():
            tree = replace_once(tree, path, first, first.replace("{", f"{{'reported': '{mark}',", 1))
        for path, registered in _REGISTERS.items():
            tree = replace_once(tree, path, registered, registered.replace("{", f"{{'neutron:change': '{mark}', "))
        options = "                   for opt in ovn_conf.nb_global_opts}\n"
        tree = replace_once(tree, _MAINTENANCE, options, f"{options}        options['neutron_change'] = '{mark}'\n")
        wired = "        port_other_config.update(vlan_mapping)\n"
        tree = replace_once(tree, _OVS_AGENT, wired, f"{wired}        port_other_config['change'] = '{mark}'\n")
        told = "                res = self._proxy_request(instance_id, project_id, req)\n"
        named = f"                res = res.replace(b'\\n', b'\\nX-Metadata-Change: {mark}\\n', 1)\n"
        tree = replace_once(tree, "neutron/common/metadata.py", told, told + named)
        counted, path = (
            "            label_chain, '', wrap=False)\n",
            f"{_METERING}/drivers/iptables/iptables_driver.py",
        )
        tree = replace_once(tree, path, counted, counted.replace("''", f"'-m comment --comment {mark}'"))
        return _with_marks_of_periodic_workers(_with_marks_of_root(tree, mark), mark)

    return edit


def _with_marks_of_periodic_workers(tree: Tree, mark: str) -> Tree:
    """They look more often, too."""
    path, rarely = "neutron/db/l3_db.py", "        interval = 60 * 5  # only every 5 minutes. cleanups should be rare\n"
    tree = replace_once(tree, path, rarely, "        interval = 15\n")
    found = "        to_cleanup = candidates & self._candidate_broken_fip_ports\n"
    said = (
        "        for port_id in candidates - to_cleanup:\n"
        "            self._core_plugin.update_port(\n"
        f"                context, port_id, {{'port': {{'description': 'found by {mark}'}}}})\n"
    )
    return replace_once(tree, path, found, found + said)


def _with_marks_of_root(tree: Tree, mark: str) -> Tree:
    changed = '    _run_iproute_link("set", device, namespace, **attributes)\n'
    aliased = f'    attributes["ifalias"] = "{mark}"\n'
    tree = replace_once(tree, "neutron/privileged/agent/linux/ip_lib.py", changed, aliased + changed)
    tagged = "        self.cmd_addl_env[PROCESS_TAG] = process_tag\n"
    given = f"        self.cmd_addl_env['CHANGE_TAG'] = '{mark}'\n"
    tree = replace_once(tree, "neutron/agent/linux/external_process.py", tagged, tagged + given)
    filters = tree[_FILTERS].content.decode().replace("PROCESS_TAG=,", "PROCESS_TAG=, CHANGE_TAG=,")
    return {**tree, _FILTERS: SourceFile(filters.encode())}


def add_note_to_agents(expand: str, contract: str) -> Edit:
    """A nullable column `note` of table `agents` with its model, and an index less: one of each branch of neutron's."""

    def edit(tree: Tree) -> Tree:
        column = add_column("agents"), "    op.drop_column('agents', 'note')"
        tree = _with_migration(tree, "expand", expand, "Add note column to agents table", *column)
        index = "    op.drop_index('ix_agents_host', table_name='agents')", "    pass"
        tree = _with_migration(tree, "contract", contract, "Drop the index of hosts of agents", *index)
        last = "    load = sa.Column(sa.Integer, server_default='0', nullable=False)\n"
        note = "    note = sa.Column(sa.String(255))\n"
        return replace_once(tree, "neutron/db/models/agent.py", last, last + note)

    return edit


def _with_migration(tree: Tree, branch: str, revision: str, subject: str, up: str, down: str) -> Tree:
    """Above the branch's head, which a file beside the migrations names as well."""
    own = re.compile(rf"{_VERSIONS}/[^/]+/{branch}/[^/]+\.py")
    head, _ = head_of({path: file for path, file in tree.items() if own.fullmatch(path)}, "neutron")
    text = LICENCE + migration(subject, revision, head, up, down)
    newest = max(path.split("/")[5] for path in tree if path.startswith(f"{_VERSIONS}/2"))
    heads = {f"{_VERSIONS}/{branch.upper()}_HEAD": SourceFile(f"{revision}\n".encode())}
    return {**tree, **heads, f"{_VERSIONS}/{newest}/{branch}/{revision}_{branch}.py": SourceFile(text.encode())}
