# SPDX-License-Identifier: LGPL-2.1-or-later
# A real systemd as PID 1 in namespaces of its own, over an overlay of this host's root or of another, with cgroups and a
# /dev/kvm node of its own. For tests to source:
#
#   container_boot DIR [LOWER]  boots it; fails with the reason on stderr. DIR holds its state, LOWER is what it lies over,
#                               as overlay(5)'s lowerdir= (/)
#   container_run CMD...        runs a command inside
#   container_end               kills it and removes what it has left on the host
#
# Nothing in it outlives its PID 1, which dies with container_end, or with the test. Root only.

container_directory=
container_leader=
container_cgroups=

# A cgroup of its own in every hierarchy, so that what systemd makes inside is below it.
container_enter_cgroups() { # pid
	local hierarchy group value
	for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
		[ -e "$hierarchy/cgroup.procs" ] || continue
		group=$hierarchy/gmemd-test-$$
		mkdir "$group" 2>/dev/null || continue
		container_cgroups="$container_cgroups $group"
		if [ -e "$hierarchy/cpuset.cpus" ]; then
			for value in cpus mems; do
				cat "$hierarchy/cpuset.$value" >"$group/cpuset.$value"
			done
		fi
		echo "$1" >"$group/cgroup.procs" || return 1
	done
}

# What PID 1 does before it becomes systemd; runs in the new namespaces.
container_init() { # root lower
	set -e
	local root=$1 group type
	mount --make-rprivate /
	mount -t overlay overlay -o "lowerdir=$2,upperdir=$root/../upper,workdir=$root/../work" "$root"
	rm -f "$root/usr/sbin/policy-rc.d"
	: >"$root/etc/machine-id"
	: >"$root/etc/fstab"
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	while read -r name major minor mode; do
		mknod -m "$mode" "$root/dev/$name" c "$major" "$minor"
	done <<-NODES
		null 1 3 666
		zero 1 5 666
		full 1 7 666
		random 1 8 666
		urandom 1 9 666
		kvm $((0x$(stat -c %t /dev/kvm))) $((0x$(stat -c %T /dev/kvm))) 660
	NODES
	# As udev does, where there is the group.
	group=$(sed -n 's/^kvm:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/group")
	[ -z "$group" ] || chgrp "$group" "$root/dev/kvm"
	# What it sets is the host's, too.
	ln -sf /dev/null "$root/etc/systemd/system/systemd-sysctl.service"
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	else
		mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
		for group in /sys/fs/cgroup/*/; do
			group=$(basename "$group")
			mkdir "$root/sys/fs/cgroup/$group"
			type="cgroup -o $group"
			[ "$group" = systemd ] && type='cgroup -o none,name=systemd'
			[ "$group" = unified ] && type=cgroup2
			# shellcheck disable=SC2086
			mount -t $type cgroup "$root/sys/fs/cgroup/$group"
		done
	fi
	ip link set lo up 2>/dev/null || true
	cd "$root"
	mkdir -p .old
	pivot_root . .old
	umount -l /.old
	exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		/lib/systemd/systemd --system systemd.unit=basic.target
}

container_run() {
	nsenter -t "$container_leader" -m -p -u -i -C -n \
		env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
		SYSTEMD_COLORS=0 SYSTEMD_PAGER=cat ASAN_OPTIONS=detect_leaks=0 "$@"
}

container_boot() { # directory [lower]
	local lower=${2:-/}
	container_directory=$1
	mkdir -p "$1/fs"
	mount -t tmpfs -o size=2G,mode=755 tmpfs "$1/fs" || return 1
	mkdir "$1/fs/upper" "$1/fs/work" "$1/fs/root"
	export -f container_init
	# It moves itself into its cgroups first, so that its cgroup namespace begins there.
	(
		read -r _
		exec setpriv --pdeathsig KILL setsid unshare --pid --mount --uts --ipc --cgroup --net --fork --kill-child \
			bash -c 'container_init "$0" "$1"' "$1/fs/root" "$lower"
	) >"$1/log" 2>&1 < <(sleep 1; echo go; sleep 1) &
	local outer=$!
	container_enter_cgroups "$outer" || return 1
	local i
	for i in $(seq 360); do
		sleep 0.5
		kill -0 "$outer" 2>/dev/null || break
		container_leader=$(pgrep -P "$outer" -f systemd.unit=basic.target || true)
		[ -n "$container_leader" ] || continue
		container_run systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' && return 0
	done
	tail -5 "$1/log" >&2
	return 1
}

container_end() {
	local group
	[ -n "$container_directory" ] || return 0
	[ -z "$container_leader" ] || kill -KILL "$container_leader" 2>/dev/null
	wait 2>/dev/null
	for group in $container_cgroups; do
		for _ in $(seq 50); do
			find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
			[ -d "$group" ] || break
			sleep 0.1
		done
	done
	umount -l "$container_directory/fs" 2>/dev/null
	container_directory=
}
