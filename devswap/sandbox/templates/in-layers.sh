#!/bin/sh
# Runs a command inside a stack of overlay layers. Meant to be started in mount and process namespaces of its own, so
# that when it ends, however it ends, the kernel unmounts everything and ends what the command started.
# usage: in-layers.sh LOWER UPPER WORK ROOT "FROM=TO FROM=TO" COMMAND...
set -eu
lower=$1 upper=$2 work=$3 root=$4 binds=$5
shift 5
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/lock"
for bind in $binds; do
    from=${bind%%=*} to=${bind#*=}
    if [ -d "$from" ]; then mkdir -p "$root$to"; else mkdir -p "$root${to%/*}"; [ -e "$root$to" ] || : > "$root$to"; fi
    mount --bind "$from" "$root$to"
done
exec chroot "$root" "$@"
