"""The catalogue says what the projects released: compared with the wheels of two series, without running any."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import migrations
from devswap.service import Service, load_catalogue
from tests.released.wheels import Wheel, released

SERVICES = sorted(load_catalogue(), key=lambda each: each.name)
# Known by name only, so that they are refused by name: they ended before the oldest of these series
ENDED = (
    "ceilometer-api",
    "ceilometer-collector",
    "glance-registry",
    "heat-api-cloudwatch",
    "neutron-linuxbridge-agent",
)
LIVING = [each for each in SERVICES if each.name not in ENDED]
WITH_DATABASE = list({each.project: each for each in reversed(SERVICES) if each.database}.values())
# What alembic's own commands take for a revision
REVISIONS = {"head", "heads"}


@pytest.fixture(scope="module")
def wheels() -> dict[str, list[Wheel]]:
    return released()


def every(services: list[Service]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", services, ids=lambda each: each.name)


def every_project(services: list[Service]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", services, ids=lambda each: each.project)


@every(LIVING)
def test_what_is_imported_to_check_a_service_is_in_every_series(
    service: Service, wheels: dict[str, list[Wheel]]
) -> None:
    lacking = [
        (wheel, name)
        for wheel in wheels[service.distribution]
        for name in service.check
        if not wheel.has(name.partition(":")[0])
    ]
    assert lacking == []
    assert all(wheel.has(service.package) for wheel in wheels[service.distribution])


@every(LIVING)
def test_a_service_is_started_by_its_script_or_by_its_wsgi_module(
    service: Service, wheels: dict[str, list[Wheel]]
) -> None:
    """In the newest series by one of them, and each of them in one series at least: scripts go, modules come."""
    ours = wheels[service.distribution]
    scripts = [wheel for wheel in ours if service.entry_point in wheel.scripts]
    modules = [wheel for wheel in ours if service.web and service.web.module and wheel.has(service.web.module)]
    assert ours[0] in [*scripts, *modules]
    assert scripts or not service.entry_point
    assert modules or not (service.web and service.web.module)


@pytest.mark.parametrize("name", ENDED)
def test_what_has_ended_is_in_no_series_and_refused(name: str, wheels: dict[str, list[Wheel]]) -> None:
    service = load_catalogue().get(name)
    assert service.unsupported
    assert not any(service.entry_point in wheel.scripts for wheel in wheels[service.distribution])


@every_project(WITH_DATABASE)
def test_the_migration_commands_exist_and_know_their_arguments(
    service: Service, wheels: dict[str, list[Wheel]]
) -> None:
    assert service.database
    for wheel in wheels[service.distribution]:
        index = service.database.index
        first = (*index.sync, *index.listed_sync) if index else ()
        for tool, *arguments in (*first, *service.database.sync):
            assert tool in wheel.scripts, wheel
            known = wheel.words(wheel.scripts[tool])
            for word in own_arguments(arguments):
                assert {word, word.lstrip("-")} & known or (word in REVISIONS and "revision" in known), (
                    f"{tool} {word} of {wheel}"
                )


def own_arguments(arguments: list[str]) -> list[str]:
    """Without --config-file and its path: oslo.config's, which every one of these tools is made with."""
    found = list(arguments)
    while "--config-file" in found:
        at = found.index("--config-file")
        del found[at : at + 2]
    return found


@every_project(WITH_DATABASE)
def test_the_migrations_are_where_the_catalogue_has_them(
    service: Service, wheels: dict[str, list[Wheel]], tmp_path: Path
) -> None:
    assert service.database
    for wheel in wheels[service.distribution]:
        for folders in folders_of(service):
            tree = wheel.unpack(folders, tmp_path / wheel.name)
            assert migrations.read(tree, folders).heads, wheel


def folders_of(service: Service) -> list[tuple[str, ...]]:
    assert service.database
    index = service.database.index
    return [service.database.migrations, *([index.migrations] if index else [])]
