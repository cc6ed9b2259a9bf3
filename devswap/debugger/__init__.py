"""The debugger's part that runs inside the service, by the machine's own Python (3.6 or newer).

Copied into every overlay as the package `_devswap_debugger`, and loaded when an interpreter starts that was given
DEVSWAP_DEBUGGER: see start.py. It imports nothing of devswap's other rooms and nothing but the standard library.
"""
