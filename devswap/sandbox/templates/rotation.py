"""Runs in the haproxy container: tells HAProxy that every server that accepts connections is up."""

import socket
import time


def ask(command):
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect("/var/run/haproxy.stat")
        admin.sendall(command.encode() + b"\n")
        return admin.makefile().read()


def answers(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 2).close()
    except OSError:
        return False
    return True


deadline = time.monotonic() + 30
while time.monotonic() < deadline:
    lines = [line.split(",") for line in ask("show stat").splitlines() if not line.startswith("#")]
    servers = {(row[0], row[1]): row[73] for row in lines if len(row) > 73 and row[1] not in ("FRONTEND", "BACKEND")}
    waiting = False
    for (backend, server), address in servers.items():
        if backend.endswith("-back"):
            if answers(address):
                ask(f"set server {backend}/{server} health up")
            else:
                waiting = True
    if not waiting:
        break
    time.sleep(0.5)
