"""Runs in the utility container: waits until a heat-engine reports itself alive through HAProxy, heat-api and RPC."""

import sys
import time

import openstack
from keystoneauth1.exceptions import ClientException
from openstack import exceptions

deadline = time.monotonic() + float(sys.argv[1])
problem = "nothing answered"
while time.monotonic() < deadline:
    try:
        services = openstack.connect(cloud="default").orchestration.get("/services").json().get("services", [])
        if any(service["status"] == "up" for service in services):
            sys.exit(0)
        problem = f"heat lists {len(services)} engines, none of them up"
    except (exceptions.SDKException, ClientException, OSError) as error:
        problem = str(error)
    time.sleep(0.5)
sys.exit(f"the cloud does not answer: {problem}")
