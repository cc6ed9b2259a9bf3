"""RabbitMQ's accounts as the definitions file that the broker itself loads at every start."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets


def definitions(passwords: dict[str, str]) -> str:
    """One user with one virtual host per project, `/heat` for heat, as OSA's roles make them."""
    return json.dumps(
        {
            "users": [
                {
                    "name": name,
                    "password_hash": password_hash(password, secrets.token_bytes(4)),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": "",
                }
                for name, password in passwords.items()
            ],
            "vhosts": [{"name": f"/{name}"} for name in passwords],
            "permissions": [
                {"user": name, "vhost": f"/{name}", "configure": ".*", "write": ".*", "read": ".*"}
                for name in passwords
            ],
        },
        indent=1,
    )


def password_hash(password: str, salt: bytes) -> str:
    """RabbitMQ's own format: base64 of a four byte salt and sha256(salt + password)."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
