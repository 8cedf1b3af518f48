#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libvirt's domains as they are on a host: under a real systemd, with D-Bus and machined, and all of gmemd as it is installed.
# Who is whose is what the machine's scope says, and nothing else does.
set -u
plan=23
. "$(dirname "$0")/units.sh"
for program in libvirtd virsh machinectl busctl qemu-system-x86_64; do
	command -v "$program" >/dev/null || skip_all "no $program"
done
set_up

uuid=123e4567-e89b-12d3-a456-42661417400 # and a digit
emulator=/usr/local/bin/gmem-run-qemu

define() { # name digit [line for the domain [cpu's]]
	container_run sh -c 'cat >"/root/$0.xml" && virsh define "/root/$0.xml"' "$1" <<-XML >"$work/output" 2>&1
		<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
		  <name>$1</name><uuid>$uuid$2</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>
		  <os><type arch='x86_64' machine='pc'>hvm</type></os><cpu mode='host-passthrough'>$without</cpu>
		  <devices><emulator>$emulator</emulator></devices>
		  ${3:-}
		</domain>
	XML
}
virsh() {
	container_run virsh "$@" >"$work/output" 2>&1
}
member() { # name of a VM, member of it
	container_run gmemctl --json show "$1" 2>>"$work/output" | python3 -c "import json, sys; print(json.load(sys.stdin)['$2'])" 2>/dev/null
}
domain() { # name, member of what gmemctl domains shows
	container_run gmemctl --json domains 2>>"$work/output" | python3 -c "import json, sys
print({one['name']: one for one in json.load(sys.stdin)['domains']}['$1']['$2'])" 2>/dev/null
}
fits() { # name, remark: what gmemd-libvirt shows of a domain that runs
	[ "$(domain "$1" active)" = True ] && [ "$(domain "$1" remark)" = "$2" ]
}
no_vms() {
	[ "$(container_run gmemctl --json vms | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["vms"]))')" = 0 ]
}
reservations() { # their names
	container_run gmemctl --json reservations | python3 -c "import json, sys
print(*[one['name'] for one in json.load(sys.stdin)['reservations']])"
}
# As libvirt runs it for a domain with number 77 that is about to start.
reserve() { # digit
	printf '%s' "<domain type='kvm' id='77'><name>other</name><uuid>$uuid$1</uuid><memory unit='KiB'>65536</memory>" \
		"<devices><emulator>$emulator</emulator></devices></domain>" |
		container_run /usr/local/libexec/gmemd/gmemd-libvirt-hook other prepare begin - >>"$work/output" 2>&1
}
claim() { # scope or service, slice, argument of machine_peer.py's...
	local how=$1 slice=$2
	shift 2
	[ "$how" = service ] && how="--wait --pipe --property=Delegate=yes" || how="--scope --unit=$how"
	# shellcheck disable=SC2086
	container_run systemd-run --quiet $how --slice="$slice" env PYTHONPATH=/usr/local/lib/gmemd-test PYTHONDONTWRITEBYTECODE=1 \
		python3 /usr/local/lib/gmemd-test/machine_peer.py "$@" >>"$work/output" 2>&1
	tail -1 "$work/output"
}

without=
qemu_has_host_processor || without="<feature policy='disable' name='arch-capabilities'/>"

install_project && install_python "$here/machine_peer.py" &&
	container_run sh -c 'usermod -a -G gmem libvirt-qemu && mkdir -p /etc/libvirt/hooks/qemu.d &&
		ln -s /usr/local/libexec/gmemd/gmemd-libvirt-hook /etc/libvirt/hooks/qemu.d/gmemd &&
		echo "security_driver = \"none\"" >>/etc/libvirt/qemu.conf &&
		systemctl start gmemd.socket gmemd-admin.socket dbus.service virtlogd.socket libvirtd.service gmemd-libvirt.service' \
		>>"$work/output" 2>&1 && eventually virsh list
report $? "libvirtd, machined and gmemd run as they are installed"

define plain 0 && virsh start plain
report $? "a domain starts"
scope='machine-qemu\x2d1\x2dplain.scope'
pid=$(member plain pid)
container_run cat "/proc/$pid/cgroup" >"$work/output" && grep -qF "/machine.slice/$scope" "$work/output"
report $? "its VMM is in the scope of its machine"
container_run busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager GetMachineByPID u "$pid" \
	>"$work/output" 2>&1 && grep -q 'machine/qemu_2d1_2dplain' "$work/output"
report $? "machined knows it by the name that gmemd goes by"
[ "$(member plain uuid)" = "${uuid}0" ] && [ "$(member plain promised)" = $((64 << 20)) ] && [ "$(reservations)" = "" ]
report $? "what its hook had reserved for that machine is its promise"
[ "$(member "${uuid}0" name)" = plain ] && container_run gmemctl vms >"$work/output" && grep -qw plain "$work/output"
report $? "gmemctl shows it by its UUID as by its name"
eventually fits plain None
report $? "gmemd-libvirt knows its VM"

define thief 1 "<qemu:commandline><qemu:arg value='-uuid'/><qemu:arg value='${uuid}0'/></qemu:commandline>"
! virsh start thief && grep -q 'gmemd refused.*UUID' "$work/output"
report $? "a domain that claims the UUID of one that runs is refused, and virsh says why"
[ "$(member plain pid)" = "$pid" ] && [ "$(reservations)" = "" ]
report $? "the other's VM is as it was, and nothing of the refused one's is left"
define thief 1 "<qemu:commandline><qemu:arg value='-uuid'/><qemu:arg value='${uuid}7'/></qemu:commandline>" && reserve 7
! virsh start thief && grep -q 'gmemd refused.*machine' "$work/output" && [ "$(reservations)" = "${uuid}7" ]
report $? "so is one that claims the UUID of one that is about to start, which keeps what is reserved for it"

[[ $(claim 'machine-qemu\x2d8\x2dother.scope' machine.slice "${uuid}7") == *machine* ]]
report $? "a process in another machine's scope is refused"
[[ $(claim 'qemu\x2d77\x2dother.scope' machine.slice "${uuid}7") == *machine* ]]
report $? "in a scope that is no machine's"
[[ $(claim service machine.slice "${uuid}7" 'machine-qemu\x2d77\x2dother.scope') == *machine* ]]
report $? "in a group that a service has made, and called as the machine's scope"
[[ $(claim 'machine-qemu\x2d77\x2dother.scope' machine.slice "${uuid}7") == opened ]]
report $? "in the machine's scope it has what is reserved"

! virsh domrename plain renamed && grep -q 'active domain' "$work/output" && [ "$(member plain uuid)" = "${uuid}0" ]
report $? "libvirt renames no domain that runs: its VM keeps its name"
virsh metadata plain --uri urn:gmemd:domain --key gmem --live --set "<memory limit='96M'/>"
grown() {
	[ "$(member plain promised)" = $((96 << 20)) ]
}
eventually grown
report $? "a limit that its metadata is given while it runs is its VM's"
container_run systemctl restart gmemd.service libvirtd.service gmemd-libvirt.service >"$work/output" 2>&1
eventually fits plain None && [ "$(member plain pid)" = "$pid" ] && virsh domstate plain && grep -q '^running' "$work/output"
report $? "gmemd, libvirtd and gmemd-libvirt are started again: it goes on, and is known"
virsh destroy plain && eventually no_vms && virsh domrename plain renamed && virsh start renamed &&
	[ "$(member renamed uuid)" = "${uuid}0" ] && eventually fits renamed None
report $? "renamed while it was off, it starts under its new name"
virsh destroy renamed && eventually no_vms

printf '%s\n' '' '[tenant blue]' 'cgroups = /blue.slice/*' 'limit = 96M' |
	container_run sh -c 'cat >>/etc/gmemd/gmemd.conf && systemctl start blue.slice && systemctl reload gmemd.service' >"$work/output" 2>&1
own="<metadata><gmem:memory xmlns:gmem='urn:gmemd:domain' tenant='blue'/></metadata>"
blue="<resource><partition>/blue</partition></resource>"
define placed 2 "$own$blue"
virsh start placed && [ "$(member placed promised)" = $((64 << 20)) ] && [ "$(member placed tenant)" = blue ] && eventually fits placed None
report $? "a domain in another slice is its machine as well, and of the tenant whose slice that is"
define second 3 "$own$blue"
! virsh start second && grep -q 'domain second: .*limit of the tenant' "$work/output" && [ "$(reservations)" = "" ]
report $? "another of the tenant's, which has no room for it, is refused, and virsh says so"
virsh destroy placed && eventually no_vms
define stray 4 "$own"
! virsh start stray && grep -q "is tenant blue's, and its process is of tenant default" "$work/output" && [ "$(reservations)" = "" ] && eventually no_vms
report $? "one that is in no slice of the tenant that its metadata names is refused"
virsh start second && [ "$(member second tenant)" = blue ]
report $? "and the one that waited has room now"
virsh destroy second
container_run systemctl stop gmemd.service gmemd.socket gmemd-admin.socket gmemd-keeper.service gmemd-keeper.socket >"$work/output" 2>&1
! virsh start placed && grep -q 'no gmemd serves' "$work/output"
report $? "without gmemd a start is refused, and virsh says so"

exit $failures
