"""A cloud in memory: machines with files, mounts, systemd and a database server, behind devswap's Machine protocol.

It interprets the commands that devswap runs; what it does not know is an error, never a silent success. The tests in
tests/contract run on it and on a real container, so that it behaves as one does.
"""
