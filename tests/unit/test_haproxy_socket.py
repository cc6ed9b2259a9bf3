"""What HAProxy's runtime socket answers; the texts are those of HAProxy 2.6."""

from __future__ import annotations

from devswap import haproxy_socket
from devswap.haproxy_socket import ServerState

HEADER = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port\n"
)
STATES = (
    HEADER
    + """10 keystone-back 1 one 172.29.244.120 2 0 1 1 511 6 3 5 6 0 0 0 - 5000 - 0 5000 - - 5000
10 keystone-back 2 two 172.29.244.121 0 5 1 1 511 6 3 5 6 0 0 0 - 5000 - 0 5000 - - 5000
12 other-back 1 one 172.29.244.113 0 0 1 1 511 6 3 5 6 0 0 0 - 8181 - 0 8181 - - 8181
12 other-back 2 two 172.29.244.114 2 8 10 1 511 6 3 5 6 0 0 0 - 8181 - 0 8181 - - 8181

"""
)
STAT = """# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,weight,act,bck,check_status,last_chk,srv_icur,
front,FRONTEND,,,0,1,4096,1,OPEN,,,,,,,
keystone-back,one,1,0,2,1,,26,UP,1,1,0,L4OK,Layer4 check passed,3,
keystone-back,two,0,0,0,1,,26,MAINT,1,0,1,,,,
keystone-back,BACKEND,0,0,0,1,410,52,UP,2,2,0,,,,
"""


def test_servers_are_read_with_what_file_and_socket_said_of_them() -> None:
    found = haproxy_socket.states(STATES)
    assert found["keystone-back/one"] == ServerState(
        key="keystone-back/one",
        address="172.29.244.120",
        port=5000,
        up=True,
        admin="ready",
        loaded_disabled=False,
        weight=1,
        initial_weight=1,
    )
    assert (found["keystone-back/two"].admin, found["keystone-back/two"].loaded_disabled) == ("maint", True)
    assert (found["other-back/two"].admin, found["other-back/two"].weight) == ("drain", 10)
    assert not found["other-back/one"].up


def test_statistics_are_those_of_servers() -> None:
    found = haproxy_socket.statistics(STAT)
    assert list(found) == ["keystone-back/one", "keystone-back/two"]
    one = found["keystone-back/one"]
    assert (one.status, one.sessions, one.idle, one.is_backup) == ("UP", 3, 3, False)
    assert one.last_check == "L4OK Layer4 check passed"
    assert found["keystone-back/two"].is_backup


def test_what_a_reload_forgets_is_told_again() -> None:
    before = haproxy_socket.states(STATES)
    fresh = haproxy_socket.states(
        STATES.replace(" 0 5 1 1", " 2 0 1 1").replace(" 0 0 1 1", " 2 0 1 1").replace(" 2 8 10 1", " 2 0 1 1")
    )
    assert haproxy_socket.carried_over(before, fresh, but={"keystone-back/two"}) == [
        "set server other-back/one health down",
        "set server other-back/two state drain",
        "set server other-back/two weight 10",
    ]
    assert haproxy_socket.carried_over(before, before, but=()) == []


def test_what_is_not_understood_is_nothing() -> None:
    assert haproxy_socket.states("Permission denied\n") == {}
    assert haproxy_socket.statistics("") == {}
    assert haproxy_socket.worker("Name: HAProxy\nPid: 42\n") == 42
    assert haproxy_socket.worker("") is None
    assert haproxy_socket.refusals("\n\nPermission denied\n\n") == ["Permission denied"]
