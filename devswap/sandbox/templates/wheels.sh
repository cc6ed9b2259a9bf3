#!/bin/sh
# Builds or downloads every pinned wheel in as many pip processes as there are processors.
# usage: wheels.sh FOLDER PINS WORKERS
set -eu
folder=$1 pins=$2 workers=$3
tools=/opt/builder
[ -x "$tools/bin/uv" ] || {
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet uv wheel
}
rm -f /tmp/pins.*
# the slow ones (no wheel, to be compiled) are spread by dealing the list out like cards
awk -v workers="$workers" '{ print > ("/tmp/pins." (NR % workers)) }' "$pins"
failed=0 running=""
for part in /tmp/pins.*; do
    "$tools/bin/pip" wheel --quiet --no-deps --wheel-dir "$folder" --find-links "$folder" --requirement "$part" &
    running="$running $!"
done
for process in $running; do wait "$process" || failed=1; done
exit "$failed"
