#!/bin/busybox sh
# The first program of a guest: mounts, modules, then Node with the cases that the kernel's command line names.
# ttyS0 is the console, ttyS1 what the guest tells the host: one line of JSON each.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/netns /run/netloom

without=$(sed -n 's/.*netloom\.without=\([^ ]*\).*/\1/p' /proc/cmdline)
while read -r module; do
  case ",$without," in *",${module%.ko},"*) continue ;; esac
  insmod "/modules/$module" || echo "init: module $module cannot be loaded"
done </modules/order

ip link set lo up
export NODE_OPTIONS='--import=/netloom/test/pacing/guest/stripped-types.js --disable-warning=ExperimentalWarning'
export NO_COLOR=1 NODE_DISABLE_COMPILE_CACHE=1 NETLOOM_NODE=/bin/node
/bin/node /netloom/test/pacing/guest/main.ts
echo "init: the cases ended with $?"
poweroff -f
