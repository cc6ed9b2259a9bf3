#!/bin/sh
# Installs packages into a layer without starting any service. usage: install.sh PACKAGE...
# In a package name PYTHON stands for the release's own Python, such as python3.11.
set -eu
python=$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get install --yes --quiet --no-install-recommends \
    -o Dpkg::Options::=--force-confnew -o APT::Keep-Downloaded-Packages=true \
    $(printf '%s\n' "$@" | sed "s/PYTHON/$python/")
rm -f /usr/sbin/policy-rc.d
