"""Runs in the utility container: makes what heat needs in keystone, and is content with what is there already.

Reads from standard input, as JSON: vip, heat_service_password, heat_domain_password.
"""

import json
import sys
import time

import openstack
from keystoneauth1.exceptions import ClientException
from openstack import exceptions

wanted = json.load(sys.stdin)
vip = wanted["vip"]
identity = openstack.connect(cloud="default").identity


def wait_for_keystone():
    deadline = time.monotonic() + 90
    while True:
        try:
            return identity.find_project("admin", ignore_missing=False)
        except (exceptions.SDKException, ClientException, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def account(name, password, domain_id, **more):
    user = identity.find_user(name, domain_id=domain_id)
    return user or identity.create_user(name=name, password=password, domain_id=domain_id, **more)


def role(name):
    return identity.find_role(name) or identity.create_role(name=name)


def service(name, kind, description, url):
    found = next(iter(identity.services(type=kind)), None)
    found = found or identity.create_service(name=name, type=kind, description=description)
    have = {endpoint.interface for endpoint in identity.endpoints(service_id=found.id)}
    for interface in {"public", "internal", "admin"} - have:
        identity.create_endpoint(service_id=found.id, interface=interface, region_id="RegionOne", url=url)


project = wait_for_keystone()
admin_role = role("admin")
services = identity.find_project("service", domain_id="default") or identity.create_project(
    name="service", domain_id="default"
)
heat = account("heat", wanted["heat_service_password"], "default", default_project_id=services.id)
for granted in (admin_role, role("service")):
    identity.assign_project_role_to_user(services, heat, granted)

domain = identity.find_domain("heat") or identity.create_domain(
    name="heat", description="Owns users and projects created by heat"
)
domain_admin = account("stack_domain_admin", wanted["heat_domain_password"], domain.id)
identity.assign_domain_role_to_user(domain, domain_admin, admin_role)

role("heat_stack_user")
admin = identity.find_user("admin", domain_id="default")
identity.assign_project_role_to_user(project, admin, role("heat_stack_owner"))

service("heat", "orchestration", "Heat Orchestration Service", f"http://{vip}:8004/v1/%(tenant_id)s")
service("heat-cfn", "cloudformation", "Heat CloudFormation Service", f"http://{vip}:8000/v1")
