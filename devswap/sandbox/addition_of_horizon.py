"""horizon under Apache, with its static files collected; see additions.py."""

from __future__ import annotations

from devswap.sandbox.addition import Addition, Api, Command
from devswap.sandbox.eras import Member

_SETTINGS = "--settings=openstack_dashboard.settings"
HORIZON = Addition(
    name="horizon",
    what="the dashboard, run by Apache with mod_wsgi; not in 2015",
    members=(Member("horizon", "horizon_all", "horizon_container", "horizon", 149, ("apache2",)),),
    packages={"current": ("apache2", "libapache2-mod-wsgi-py3")},
    venvs={"current": ("horizon",)},
    configs=(
        "/etc/horizon/local_settings.py",
        "/etc/apache2/ports.conf",
        "/etc/apache2/mods-available/mpm_event.conf",
        "/etc/apache2/sites-available/openstack-dashboard.conf",
    ),
    folders=("/srv/horizon/static", "/var/log/horizon"),
    account=False,
    prepare=(
        Command(("django-admin", "collectstatic", "--noinput", "--verbosity=0", _SETTINGS)),
        Command(("django-admin", "compress", "--force", "--verbosity=0", _SETTINGS)),
    ),
    apis=(Api("apache2", 80, "horizon"),),
)
