#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# README's lines, taken from it, on a bare Debian 12 that debootstrap has just made: what it says of installing, of another
# prefix, of uninstalling, and of the libraries that are needed at run time.
#
# SOURCE_DIR is this repository. All of it happens on a tmpfs in a mount namespace of its own, so that nothing is left.
set -u
. "$(dirname "$0")/units.sh"
: "${SOURCE_DIR:?is where the project is}"

# In a namespace of its own from the first mount on.
if [ -z "${INSTALL_WORK-}" ]; then
	rm -rf "$work"
	[ "$(id -u)" -eq 0 ] || skip_all "only root can make namespaces"
	command -v debootstrap >/dev/null || skip_all "no debootstrap"
	INSTALL_WORK=$(mktemp -d) || exit 1
	export INSTALL_WORK
	trap : INT TERM # the other one ends, and then this one
	unshare --mount --propagation private "$0" "$@"
	status=$?
	rmdir "$INSTALL_WORK"
	exit $status
fi
rmdir "$work"
work=$INSTALL_WORK
mount -t tmpfs -o size=4G,mode=755 tmpfs "$work" || skip_all "no tmpfs can be mounted"
finish() {
	trap - EXIT
	container_end
	umount -l "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

# The Nth of the blocks of commands below a heading of README.
readme() { # heading n
	awk -v heading="## $1" -v wanted="$2" '
		/^## / { inside = $0 == heading }
		/^```/ { if (inside && !open && ++n == wanted) copying = 1; else copying = 0; open = !open; next }
		copying { print }
	' "$SOURCE_DIR/README.md"
}

# A command in a tree over another, in namespaces of its own but for the network. Its files stay in $work/LAYER.
in_layer() { # layer command...
	mkdir -p "$work/$1" "$work/scratch" "$work/root"
	unshare --mount --pid --uts --ipc --fork --kill-child bash -euc '
		mount -t overlay overlay -o "lowerdir=$1/bare,upperdir=$1/$2,workdir=$1/scratch" "$1/root"
		mount -t proc proc "$1/root/proc"
		work=$1
		shift 2
		exec chroot "$work/root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
	' - "$work" "$@" </dev/null
}

mirror() {
	apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 2>/dev/null |
		sed -n 's/^bookworm //p' | head -1
}
mirror=$(mirror)
unshare --mount --pid --fork --kill-child debootstrap --variant=minbase --include=systemd bookworm "$work/bare" \
	${mirror:+"$mirror"} >"$work/output" 2>&1 ||
	skip_all "debootstrap: $(tail -1 "$work/output")"
rm -rf "$work/bare/var/cache/apt/archives"/*.deb

# What is needed at run time; the programs come later.
in_layer runtime sh -euc "apt-get update -q && DEBIAN_FRONTEND=noninteractive $(readme "What it needs" 1) -q -y" \
	>"$work/output" 2>&1
report $? "the libraries that are needed at run time install"

# A clone of this repository, and the first line.
mkdir -p "$work/installed/root/gmemd"
(cd "$SOURCE_DIR" && git ls-files -z -co --exclude-standard 2>/dev/null ||
	find . -type f -not -path './build*' -print0) |
	tar -C "$SOURCE_DIR" -c --null -T - --ignore-failed-read 2>/dev/null | tar -C "$work/installed/root/gmemd" -x
first=$(readme "Install it" 1 | head -1)
[ "$first" = units/install-dependencies ] &&
	in_layer installed sh -euc "cd /root/gmemd && $first" >"$work/output" 2>&1
report $? "README's first line: $first"
# As udev's package does, for which a container has no use.
in_layer installed groupadd --system kvm

# The others need a systemd; they need no network, and this has none.
container_boot "$work/container" "$work/installed:$work/bare" 2>"$work/output"
report $? "the bare system boots"

in_clone() { # commands
	container_run bash -euc "cd /root/gmemd
$1"
}
# Everything but what the system writes by itself, and what is below the clone.
contents() {
	container_run find / -xdev \( -path /root/gmemd -o -path /var/log -o -path /var/lib/systemd -o -path /var/tmp -o -path /tmp \
		-o -path /proc -o -path /sys -o -path /dev -o -path /run -o -name '*-' -o -name '.pwd.lock' -o -name '.updated' \
		-o -path /var/cache/ldconfig \) -prune -o -printf '%y %m %u %g %p %l\n' | sort
	container_run cat /etc/passwd /etc/group
	container_run find /run/gmemd 2>/dev/null
}
differences() { # file
	contents | diff "$1" - >"$work/output"
}
contents >"$work/before"

readme "Install it" 1 | tail -n +2 >"$work/lines"
number_of_lines=$(wc -l <"$work/lines")
for i in $(seq "$number_of_lines"); do
	line=$(sed -n "${i}p" "$work/lines")
	reason=
	[[ $line != gmemctl* ]] || container_run test -c /dev/kvm || reason="no /dev/kvm"
	[[ $line != gmemctl* ]] || "$BUILD_DIR/client/gmemctl" probe >/dev/null 2>&1 || reason="this host fails gmemctl probe"
	if [ -n "$reason" ]; then
		skip "README's line: $line" "$reason"
	else
		in_clone "$line" >"$work/output" 2>&1
		report $? "README's line: $line"
	fi
done
can_serve=yes
[ -z "$reason" ] || can_serve=
needs_service() { # name
	[ -n "$can_serve" ] || skip "$1" "$reason"
	[ -n "$can_serve" ]
}

# A VMM's own program finds the library, to be built with and to run with.
in_clone 'cd /tmp && printf "%s\n" "#include <gmem.h>" "int main(void) { return gmem_free(0) != 0; }" >vmm.c &&
	cc vmm.c -o vmm $(pkg-config --cflags --libs gmem) && ./vmm; rm -f vmm vmm.c' >"$work/output" 2>&1
report $? "a program that is built with pkg-config's flags for gmem runs"

# gmemd's user is another than the one whose sockets are there.
logged() { # pattern
	container_run journalctl -o cat -u gmemd.service >"$work/journal"
	grep -cE "$1" "$work/journal"
}
reinstall_for_another_user() {
	container_run systemctl stop gmemd.service gmemd-keeper.service &&
		in_clone "uid=\$(id -u gmemd) && userdel gmemd && useradd --system --uid \$uid --user-group --no-create-home taken &&
			meson install -C build && systemd-sysusers && userdel taken && systemctl daemon-reload"
}
if needs_service "reinstalled under running sockets, gmemd with another uid serves" &&
	needs_service "and says in one line what stands in the way"; then
	reinstall_for_another_user >"$work/output" 2>&1 && container_run gmemctl status >>"$work/output" 2>&1
	report $? "reinstalled under running sockets, gmemd with another uid serves"
	sleep 3
	[ "$(logged 'gmemd-keeper.socket')" = 1 ] && [ "$(logged 'Permission denied')" -le 1 ]
	status=$?
	cp "$work/journal" "$work/output"
	report $status "and says in one line what stands in the way"
	container_run systemctl restart gmemd-keeper.socket
fi

if needs_service "nothing is uninstalled while a VM runs"; then
	container_run systemctl start gmem-vmm@example.service
	eventually container_run sh -c 'gmemctl vms | grep -q running'
	! in_clone "$(readme "Install it" 3)" >"$work/output" 2>&1 &&
		grep -q 'VMs run on.*example' "$work/output" && container_run gmemctl vms | grep -q running
	report $? "nothing is uninstalled while a VM runs"
	container_run systemctl stop gmem-vmm@example.service
fi

# With what is there at run time alone.
mkdir -p "$work/runtime/usr"
cp -a "$work/container/fs/upper/usr/local" "$work/runtime/usr/"
in_layer runtime sh -euc 'for program in bin/gmemctl bin/gmem-run sbin/gmemd sbin/gmemd-keeper; do
		/usr/local/$program --version
	done
	/usr/local/bin/gmem-example-vmm --help >/dev/null
	! ldd /usr/local/lib/libgmem.so.0 /usr/local/libexec/gmemd/* | grep "not found"' >"$work/output" 2>&1
report $? "with those libraries, and nothing else, all programs start"

in_clone "$(readme "Install it" 3)" >"$work/output" 2>&1 && differences "$work/before"
report $? "uninstalled as README says, nothing is left of it"
! container_run systemctl list-units --all --plain --no-legend 'gmem*' | grep . >"$work/output"
report $? "not even a unit"

readme "Install it" 2 >"$work/lines"
in_clone "$(head -1 "$work/lines")" >"$work/output" 2>&1
report $? "README's lines for another prefix: $(head -1 "$work/lines")"
contents | diff "$work/before" - | grep '^[<>]' | grep -v ' /opt/gmemd' >"$work/output"
[ $? -eq 1 ]
report $? "nothing is written outside the prefix"
container_run /opt/gmemd/bin/gmemctl --version >"$work/output" 2>&1
report $? "gmemctl below it finds its library"
if needs_service "README's other lines for another prefix"; then
	in_clone "$(tail -n +2 "$work/lines")" >"$work/output" 2>&1
	report $? "README's other lines for another prefix"
fi
in_clone "$(readme "Install it" 3)-opt" >"$work/output" 2>&1 && differences "$work/before"
report $? "uninstalled again, nothing is left"

echo "1..$number"
exit $failures
