#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The project's own units under a real systemd: socket activation, hardening in force, a VMM as a service, the watchdog.
set -u
plan=23
. "$(dirname "$0")/units.sh"
set_up

vms_match() {
	container_run gmemctl --json vms | grep -q "$1"
}

install_project && install_python
report $? "the installation goes in"

# Leak checking traces the process, which the unit forbids; a short watchdog, so that the test needn't wait long.
drop_in gmemd.service Environment=ASAN_OPTIONS=detect_leaks=0 WatchdogSec=2
container_run systemctl enable --now gmemd.socket gmemd-admin.socket >"$work/output" 2>&1
report $? "the sockets start"

container_run stat -c '%n %a %U %G' /run/gmemd/gmemd.sock /run/gmemd/admin.sock >"$work/output"
diff - "$work/output" >"$work/difference" <<-EOF
	/run/gmemd/gmemd.sock 660 root gmem
	/run/gmemd/admin.sock 660 root gmem-admin
EOF
report $? "they are for group gmem, and for root"

container_run systemctl is-active gmemd.service >"$work/output"
[ "$(cat "$work/output")" = inactive ]
report $? "gmemd does not run yet"

container_run systemctl start gmem-vmm@example.service >"$work/output" 2>&1
report $? "a VMM starts as a service"

eventually vms_match '"state":"running","gate":"active"'
report $? "its connection has started gmemd, and its VM was made behind the gate"

gmemd_has_its_user
report $? "gmemd runs as its own user"
gmemd_has_its_capabilities
report $? "with CAP_SYS_PTRACE, with CAP_DAC_OVERRIDE and CAP_LINUX_IMMUTABLE out of effect, and no other capability"
gmemd_has_its_filter
report $? "under its system call filter"
# The container has PIDs of its own, so that KVM tells of others: but gmemd hears it.
container_run journalctl -o cat -u gmemd.service >"$work/output"
grep -q "can't be tried again: uevents of KVM tell of processes by pids of another PID namespace" "$work/output"
report $? "it hears KVM's uevents, in its own network namespace"

eventually container_run sh -c 'journalctl -o cat -u gmem-vmm@example.service | grep -q "the same"'
report $? "the guest's sum is what its VMM sees"

# Another program in gmemd's place, under what its unit lets it do.
vmm=$(main_pid gmem-vmm@example.service)
container_run sh -c 'cat >/usr/local/bin/preallocate && chmod 755 /usr/local/bin/preallocate' <"$BUILD_DIR/tests/system/preallocate"
container_run sh -c '{
	sed -e "/^Type=/s/=.*/=oneshot/" -e "/^ExecStart=/s#=.*#=/usr/local/bin/preallocate $0 $1#" -e "/^Restart=/d" \
		-e "/^WatchdogSec=/d" "$(systemctl show -P FragmentPath gmemd.service)"
	printf "%s\n" "[Service]" "Environment=ASAN_OPTIONS=detect_leaks=0"
} >/run/systemd/system/preallocate.service; systemctl daemon-reload' "$vmm" 64
container_run systemctl start preallocate.service
status=$?
container_run journalctl -o cat -u preallocate.service >"$work/output"
report $status "under gmemd's unit, another user's VMM is charged for what is preallocated"

container_run sed -i -e 's/CAP_DAC_OVERRIDE//' /run/systemd/system/preallocate.service
container_run systemctl daemon-reload
! container_run systemctl start preallocate.service 2>/dev/null &&
	container_run journalctl -o cat -u preallocate.service | grep -q 'preallocate: Permission denied'
report $? "without CAP_DAC_OVERRIDE, it can't be"

container_run journalctl -o json -u gmemd.service >"$work/output"
grep -q '"GMEMD_VM":"vm-' "$work/output"
report $? "the journal says which VM a line is about"

# The keeper, which gmemd.service has pulled in. What is put here is nobody's.
keep_in_container() { # put|held
	run_python - "$1" <<-'EOF'
		import sys
		from gmemtest.keeper import PUT, STORE, KeeperPeer
		peer, mine = KeeperPeer("/run/gmemd"), (15, 2, 3)
		put = sys.argv[1] == "put"
		sys.exit(peer.ask(PUT, [mine], [0], flags=STORE).result if put else mine not in peer.take_all())
	EOF
}
keep_in_container put >"$work/output" 2>&1 &&
	[ "$(container_run stat -c '%a %U' /run/gmemd/keeper.sock)" = "600 gmemd" ]
report $? "the keeper's socket is gmemd's"

keeper_is_confined
report $? "it runs as gmemd's user, with no capability, under its filter"

# What was put for the fd store has come back with the keeper's successor.
keeper_pid=$(main_pid gmemd-keeper.service) && container_run kill -KILL "$keeper_pid"
held_again() {
	[ "$(main_pid gmemd-keeper.service)" != "$keeper_pid" ] &&
		keep_in_container held
}
eventually held_again
report $? "a killed keeper's successor has what was stored"

container_run systemctl kill -s KILL gmem-vmm@example.service
eventually container_run sh -c 'gmemctl --json vms | grep -qF "\"vms\":[]"'
report $? "a killed VMM's VM is released"

before=$(property gmemd.service NRestarts)
pid=$(main_pid gmemd.service) && container_run kill -STOP "$pid"
restarted() {
	[ "$(property gmemd.service NRestarts)" -gt "$before" ] &&
		container_run gmemctl ping
}
eventually restarted
report $? "the watchdog restarts a gmemd that hangs"

# Its configuration, read anew.
pid=$(main_pid gmemd.service)
container_run sh -c 'mkdir -p /etc/gmemd/gmemd.conf.d && printf "[limits]\nslots-per-vm = 77\n" >/etc/gmemd/gmemd.conf.d/50.conf'
container_run systemctl reload gmemd.service >"$work/output" 2>&1 &&
	container_run gmemctl config | grep -q "slots-per-vm *77 */etc/gmemd/gmemd.conf.d/50.conf:2" &&
	[ "$(main_pid gmemd.service)" = "$pid" ]
report $? "systemctl reload has gmemd read its configuration anew"

container_run sh -c 'echo "slots-per-vm = many" >>/etc/gmemd/gmemd.conf.d/50.conf'
! container_run systemctl reload gmemd.service >"$work/output" 2>&1 &&
	container_run journalctl -o cat -u gmemd.service | grep -q "50.conf:3: slots-per-vm: must be a number"
report $? "where it is wrong the reload fails, and the journal says why"

told() {
	[ "$(property gmemd.service ActiveState)" = active ] &&
		property gmemd.service StatusText | grep -q "earlier configuration: /etc/gmemd/gmemd.conf.d/50.conf:3" &&
		container_run gmemctl config | grep -q "slots-per-vm *77"
}
eventually told
report $? "gmemd serves on by what it had, and its status says so"
container_run rm /etc/gmemd/gmemd.conf.d/50.conf

container_run systemctl stop gmemd.service >"$work/output" 2>&1
container_run systemctl show -P Result gmemd.service >"$work/output"
[ "$(cat "$work/output")" = success ] && container_run gmemctl ping >/dev/null
report $? "it stops cleanly, and the next connection starts it again"

exit $failures
