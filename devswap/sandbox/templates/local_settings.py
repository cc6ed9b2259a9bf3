# Ansible managed

DEBUG = False
WEBROOT = "/"
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "$horizon_service_password"  # noqa: S105
TIME_ZONE = "UTC"

OPENSTACK_KEYSTONE_URL = "http://$vip:5000/v3"
OPENSTACK_KEYSTONE_DEFAULT_ROLE = "member"
OPENSTACK_ENDPOINT_TYPE = "internalURL"

SESSION_ENGINE = "django.contrib.sessions.backends.cache"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": "$memcached_address:11211",
    },
}

COMPRESS_OFFLINE = True
STATIC_ROOT = "/srv/horizon/static"
