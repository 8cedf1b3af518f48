#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# gmemctl against the real gmemd: every verb, every exit status, JSON, tables. TAP on stdout.
# BUILD_DIR: meson's build directory.

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/system/keepers.sh
. "$here/keepers.sh"
build=${BUILD_DIR:?the build directory}
ctl=$build/client/gmemctl
tmp=$(mktemp -d)
chmod 755 "$tmp"
admin=$tmp/run/admin.sock
vmms=$tmp/run/gmemd.sock
pids=()
number=0

cleanup() {
	for pid in "${pids[@]}"; do
		kill -CONT "$pid" 2>/dev/null
		kill "$pid" 2>/dev/null
	done
	wait
	end_keepers "$tmp"
	rm -rf "$tmp"
}
trap cleanup EXIT

pass() {
	number=$((number + 1))
	echo "ok $number - $1"
}

# What gmemctl has printed last comes along as diagnostics.
fail() {
	number=$((number + 1))
	echo "not ok $number - $1"
	{ echo "exit status $rc"; head -n 20 "$tmp/out" "$tmp/err"; } 2>/dev/null | sed 's/^/# /'
}

skip() {
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# check NAME COMMAND...: passes where the command does.
check() {
	local name=$1
	shift
	if "$@" >/dev/null 2>&1; then pass "$name"; else fail "$name"; fi
}

# run ARGUMENT...: gmemctl on our gmemd; leaves rc, out and err.
run() {
	"$ctl" --socket="$admin" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	rc=$?
	grep -qE "Sanitizer|runtime error" "$tmp/err" && rc="$rc, and a sanitizer's complaint"
}

# exits STATUS NAME ARGUMENT...
exits() {
	local wanted=$1 name=$2
	shift 2
	run "$@"
	check "$name" [ "$rc" = "$wanted" ]
}

out_has() { check "$1" grep -qE -- "$2" "$tmp/out"; }
err_has() { check "$1" grep -qE -- "$2" "$tmp/err"; }
out_json() { check "$1" json True; }
err_json() { check "$1" json True "$tmp/err"; }

# json_print EXPRESSION [FILE]: what it gives, of the value v in what was printed last. One Python for all of them: many are
# asked for, and the machine may be busy.
coproc JSON {
	exec python3 -c 'import json, re, sys
words = []
word = b""
while byte := sys.stdin.buffer.raw.read(1):
    if byte != b"\0":
        word += byte
        continue
    words.append(word.decode())
    word = b""
    if len(words) == 2:
        try:
            v = json.load(open(words[1]))
            print(eval(words[0]), flush=True)
        except Exception as error:
            print(repr(error).replace("\n", " "), flush=True)
        words = []'
}
pids+=("$JSON_PID")
json_print() {
	local answer
	printf '%s\0%s\0' "$1" "${2:-$tmp/out}" >&"${JSON[1]}"
	IFS= read -r answer <&"${JSON[0]}"
	printf '%s\n' "$answer"
}

# json EXPRESSION [FILE]: whether it is true; for check.
json() {
	[ "$(json_print "bool($1)" "${2:-$tmp/out}")" = True ]
}

wait_for() {
	for _ in $(seq 600); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	return 1
}

# background OUTPUT COMMAND...: starts it with a standard input that stays open until we end.
mkfifo "$tmp/never"
exec 9<>"$tmp/never"
background() {
	local output=$1
	shift
	# bash has SIGINT ignored by what it starts like this.
	env --default-signal=INT "$@" <&9 >"$tmp/$output" 2>"$tmp/$output.err" &
	pids+=($!)
	last=$!
}

# The pids are ours: nothing else can have them before we have waited.
finish() {
	kill -"$2" "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	rc=$?
	local left=()
	for pid in "${pids[@]}"; do [ "$pid" = "$1" ] || left+=("$pid"); done
	pids=("${left[@]}")
}

# Another user: another tenant, and nobody who may open /dev/kvm.
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
as_nobody() {
	[ "$(id -u)" = 0 ] && "${nobody[@]}" "$@" 2>/dev/null
}

# Right-aligned columns end where their titles do, left-aligned ones begin there.
aligned() {
	python3 - "$tmp/out" "$@" <<-'END'
	import re, sys
	lines = open(sys.argv[1]).read().splitlines()
	title = next(i for i, line in enumerate(lines) if all(t in line.split() for t in sys.argv[2:]))
	rows = lines[title + 1:]
	rows = rows[:rows.index("")] if "" in rows else rows
	titles = list(re.finditer(r"\S+", lines[title]))
	assert rows
	for row in rows:
	    cells = list(re.finditer(r"\S+", row))
	    assert len(cells) == len(titles), row
	    for t, c in zip(titles, cells):
	        if t.group() in sys.argv[2:]:
	            assert t.end() == c.end(), row
	        else:
	            assert t.start() == c.start(), row
	END
}

without_gmemd() {
	exits 2 "no verb is wrong usage"
	err_has "it lists the verbs" "status probe vms show slots prealloc reclaim dump top events metrics domains config tenants nodes profile export reload reserve unreserve reservations call ping help"
	exits 2 "a verb of a later version is wrong usage" rooms
	err_has "it lists the verbs too" "status probe vms show slots prealloc reclaim dump top events metrics domains config tenants nodes profile export reload reserve unreserve reservations call ping help"
	exits 2 "an unknown option is wrong usage" --nonsense vms
	err_has "it is named" "--nonsense"
	exits 2 "an option without its value is wrong usage" vms --count
	exits 2 "show without a VM is wrong usage" show
	exits 2 "show of two VMs is wrong usage" show a b
	exits 2 "ping takes no argument" ping a
	exits 2 "--count=0 is wrong usage" events --count=0
	exits 2 "--count must be a number" events --count=1x
	exits 2 "status takes no --count" status --count=1
	exits 2 "ping takes no --bytes" ping --bytes
	exits 2 "parameters that are no JSON are wrong usage" call ping '{'
	exits 2 "parameters that are an array are wrong usage" call ping '[]'
	exits 2 "parameters that are null are wrong usage" call ping null
	exits 2 "wrong usage is JSON with --json" --json call ping '{'
	err_json "it is valid"
	check "it says so" json 'v["data"]["reason"] == "usage"' "$tmp/err"
	exits 0 "--version" --version
	exits 0 "--help" --help
	for verb in status vms "show a" "slots a" events "call ping" ping; do
		# shellcheck disable=SC2086
		exits 3 "no gmemd: $verb" $verb
	done
	err_has "the socket is named" "$admin"
	exits 3 "no gmemd, with --json" --json ping
	check "it says so" json 'v["data"]["reason"] == "no_daemon"' "$tmp/err"
	python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(sys.argv[1])' "$tmp/dead"
	exits 3 "a socket that a killed gmemd has left" --socket="$tmp/dead" ping
	exits 2 "a path too long for a socket" --socket="$(printf '%0200d' 0)" ping
	"$ctl" help >/dev/full 2>"$tmp/err"
	rc=$?
	check "what can't be printed is an error" [ $rc -eq 1 ]
}

helps() {
	exits 0 "help" help
	out_has "help says how it exits" "^Exits with 0 done"
	exits 0 "help --json" help --json
	out_json "it is valid"
	verbs=$(json_print '" ".join(verb["verb"] for verb in v["verbs"])')
	methods=$(json_print '" ".join(v["methods"])')
	for verb in $verbs; do
		exits 0 "help $verb" help "$verb"
		out_has "it says how to call it" "^gmemctl .* $verb"
	done
	for method in $methods; do
		exits 0 "help $method" help "$method"
		check "it has all parts" [ "$(grep -cE '^(Parameters|Result|Errors.*):$' "$tmp/out")" = 3 ]
		exits 0 "help $method --json" --json help "$method"
		check "its JSON is of the method" json "v['method'] == '$method'"
		check "the reference has $method" grep -q "^### $method\$" \
			"$build/protocol/gmemd-protocol.md"
	done
	exits 2 "help of what there is not" help nonsense
	exits 0 "help vm.list" help vm.list
	out_has "it says bounds and default" "^limit +no +an integer from 1 to 100 +100 "
	out_has "fields within others have a path" "^vms\[\]\.committed "
}

# True or False, as Python has it.
refuses_files() {
	python3 - <<-'EOF'
		import socket
		try:
		    socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)[0].setsockopt(socket.SOL_SOCKET, 83, 0)
		    print(True)
		except OSError:
		    print(False)
	EOF
}
takes_files() {
	[ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null)" = 3 ] && echo False || echo True
}

takes_trigger() {
	python3 -c '
import os
try:
    fd = os.open("/proc/pressure/memory", os.O_RDWR)
    print(bool(os.read(fd, 1)) and os.write(fd, b"some 200000 2000000\0") > 0)
except OSError:
    print(False)'
}

probes() {
	run --json probe
	out_json "probe's JSON is valid"
	check "each check has a verdict" json \
		'v["checks"] and all(c["verdict"] in ("PASS", "WARN", "FAIL") for c in v["checks"])'
	check "what does not pass has a remedy" json \
		'all(("remedy" in c) == (c["verdict"] != "PASS") for c in v["checks"])'
	check "probe exits 1 where anything fails" json "(v['failed'] > 0) == ($rc == 1)"
	check "and 0 where not" json "(v['failed'] == 0) == ($rc == 0)"
	check "probe says what KVM offers" json \
		'any(c["name"] == "guest_memfd" for c in v["checks"])'
	json 'all(c["verdict"] != "FAIL" for c in v["checks"][:4])' && have_kvm=1
	# shellcheck disable=SC2016
	check "no remedy is a kernel older than this one" json \
		'not any(re.search("Boot Linux ([0-9.]+)", c.get("remedy", "")) and
			tuple(map(int, re.search("Linux ([0-9.]+)", c["remedy"])[1].split("."))) <= tuple(map(int, re.match("([0-9]+)[.]([0-9]+)", v["kernel"]).groups()))
			for c in v["checks"])'
	check "probe tries whether a socket can refuse files" json \
		"any(c['name'] == 'SO_PASSRIGHTS' and (c['verdict'] == 'PASS') == $(refuses_files) for c in v['checks'])"
	check "and says whether files of VMMs can be taken" json \
		"any(c['name'] == 'files of VMMs can be taken' and (c['verdict'] == 'PASS') == $(takes_files) for c in v['checks'])"
	check "probe has a trigger on the host's pressure where the kernel gives one" json \
		"any(c['name'] == 'pressure stall information' and (c['verdict'] == 'PASS') == $(takes_trigger) for c in v['checks'])"
	check "and says in how far what it allocates is charged" json \
		'any(c["name"] == "charged where it is allocated" and (c["verdict"] == "PASS" or c["detail"]) for c in v["checks"])'
	run probe
	out_has "probe's list ends with a summary" "^[0-9]+ passed, [0-9]+ warned, [0-9]+ failed$"
	run --json probe --bytes
	check "probe takes no --bytes" [ "$rc" = 2 ]
}

start_gmemd() {
	printf '[sockets]\nadmin-mode = 666\n' >"$tmp/gmemd.conf"
	background gmemd "$build/daemon/gmemd" --runtime-directory="$tmp/run" \
		--config="$tmp/gmemd.conf" --gate=preferred
	gmemd=$last
	wait_for "$ctl" --socket="$admin" ping
}

empty_gmemd() {
	exits 0 "ping" ping
	out_has "it is answered" "^gmemd answered after [0-9]+ us$"
	exits 0 "ping --json" ping --json
	check "it is the result" json 'v == {}'
	exits 0 "status" status
	out_has "it has gmemd's version" "^gmemd +[0-9.]+, protocol 2, backend kvm$"
	out_has "it counts VMs by state" "^VMs +0: 0 opening, 0 running, 0 lingering, 0 released$"
	out_has "it has what is committed" "^committed +0B of [0-9.]+[KMGT]$"
	out_has "it has the pressure" "^pressure +none, [0-9.]+[KMGT] available, floor [0-9.]+[KMGT]$"
	exits 0 "status --json" status --json
	check "it is one value" json 'v["host"]["protocol"] == 2 and v["commit_limit"] > v["committed"]'
	exits 0 "vms of none" vms
	out_has "it says none" "^none$"
	exits 0 "vms --json of none" vms --json
	check "it is an empty list" json 'v == {"vms": []}'
	exits 4 "show of no VM" show nobody
	err_has "it is named" "nobody"
	exits 4 "slots of no VM" slots nobody
	exits 4 "show of no VM with --json" --json show nobody
	check "the error is gmemd's" json 'v["code"] == -32001' "$tmp/err"
}

calls() {
	exits 0 "call" call host.describe
	out_json "its result is JSON"
	exits 0 "call with parameters" call vm.list '{"limit": 1}'
	exits 0 "call --json" --json call rpc.discover
	check "it is one line" [ "$(wc -l <"$tmp/out")" = 1 ]
	exits 1 "call of an unknown method" call no.such
	err_has "it is named" "no.such"
	exits 1 "call with a wrong parameter" call vm.list '{"limit": 0}'
	err_has "it is named" "^  param: limit$"
	err_has "with what it must be" "^  expected: an integer from 1 to 100$"
	exits 1 "call with a wrong parameter, as JSON" --json call vm.list '{"limit": 0}'
	check "the error is gmemd's" json \
		'v["code"] == -32602 and v["data"]["param"] == "limit"' "$tmp/err"
	exits 1 "call of a VMM's method" call vm.open '{"name": "a"}'
	exits 4 "call for a VM that is not there" call vm.close '{"vm": "vm-0"}'
	exits 4 "call for a memory that is not there" call memory.close '{"memory": 1}'
}

one_vm() {
	if ! [ -x "$build/client/gmem-example-vmm" ]; then
		skip "a VM that runs" "the example VMM is for x86-64"
		return
	fi
	background events "$ctl" --socket="$admin" events
	local events=$last
	background events.json "$ctl" --socket="$admin" events --json --count=3
	local counted=$last
	sleep 0.5
	background vmm "$build/client/gmem-example-vmm" --socket="$vmms" --name=web --pause-at=bound
	vmm=$last
	check "an example VMM runs" wait_for grep -q 'stopped at "bound"' "$tmp/vmm"
	exits 0 "vms" vms
	out_has "it has the VM" "^vm-[0-9]+ +web +uid:[0-9]+ +$vmm +running +[0-9]+[smh] +active +[0-9.]+K +0B +[0-9.]+[BK]$"
	check "its columns are aligned" aligned PID COMMITTED PROMISED RESIDENT
	exits 0 "vms --bytes" vms --bytes
	out_has "it has bytes" " [0-9]{5,} +0 +[0-9]+$"
	exits 0 "vms --json" --json vms
	id=$(json_print 'v["vms"][0]["vm"]')
	uuid=$(json_print 'v["vms"][0]["uuid"]')
	exits 0 "status" status
	out_has "it counts the VM" "^VMs +1: 0 opening, 1 running, 0 lingering, 0 released$"
	for which in "$id" web "$uuid" "${uuid^^}"; do
		exits 0 "show $which" --json show "$which"
		check "it is the VM" json "v['vm'] == '$id' and len(v['slots']) == 4 and 'cursor' not in v"
	done
	exits 0 "show" show web
	out_has "it has facts" "^uuid +$uuid$"
	check "its memories are aligned" aligned ID PAGES NODE SIZE RESIDENT
	check "its slots are aligned" aligned SLOT GUEST_PHYS_ADDR SIZE USERSPACE_ADDR MEMORY OFFSET
	exits 0 "slots" slots web
	out_has "addresses are hexadecimal" "^ +1 +0x20000 +64K +0x[0-9a-f]+ +[0-9]+ +0x14000 +guest_memfd +- +- +bound$"
	exits 0 "slots --json" --json slots web
	check "they are in bytes" json 'v["slots"][1]["memory_size"] == 65536'
	wait "$counted"
	rc=$?
	check "events --count ends" [ $rc -eq 0 ]
	check "after as many" [ "$(wc -l <"$tmp/events.json")" = 3 ]
	check "each line is JSON" python3 -c 'import json, re, sys
for line in open(sys.argv[1]): assert json.loads(line)["seq"]' "$tmp/events.json"
	wait_for grep -q slot_bound "$tmp/events"
	check "events has times, kinds and details" grep -qE \
		"^[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}\.[0-9]{6}[+-][0-9]{2}:[0-9]{2} slot_bound $id name=web slot=1 guest_phys_addr=0x20000 memory_size=64K$" \
		"$tmp/events"
	finish "$events" INT
	check "Ctrl-C ends events with 0" [ "$rc" -eq 0 ]
}

many_vms() {
	background many python3 "$here/gmemctl_peers.py" vmm "$vmms" many 105 100 1
	local many=$last
	check "105 VMs, one with 100 slots" wait_for grep -q ready "$tmp/many"
	exits 0 "vms through pages" --json vms
	check "all are there once" json 'len({vm["vm"] for vm in v["vms"]}) == len(v["vms"]) == 106'
	exits 0 "show through pages" --json show many
	check "all slots are there once" json '[s["slot"] for s in v["slots"]] == list(range(100))'
	check "so are memories and calls" json 'len(v["memories"]) == len(v["calls"]) == 1'
	exits 0 "show with a pending call" show many
	check "calls are aligned" aligned ID REQUEST ADDRESS STRIDE COUNT
	out_has "VMs without a gate say so" "^gate +none$"
	exits 0 "show of a name that begins another" show many-10
	finish "$many" TERM
}

ambiguous() {
	if ! as_nobody /usr/bin/python3 -c ''; then
		skip "an ambiguous name" "needs root, setpriv and /usr/bin/python3"
		return
	fi
	# The source tree may not be for everybody to read.
	cp "$here/gmemctl_peers.py" "$tmp/peers.py"
	background other "${nobody[@]}" /usr/bin/python3 "$tmp/peers.py" vmm "$vmms" web 1 0 0 "$uuid"
	local other=$last
	check "another tenant has a VM of the same name and uuid" wait_for grep -q ready "$tmp/other"
	exits 2 "an ambiguous name is wrong usage" show web
	err_has "the VMs are listed" "$id vm-[0-9]+"
	exits 2 "so is an ambiguous uuid" slots "$uuid"
	err_has "the VMs are listed" "$id vm-[0-9]+"
	exits 0 "by id it is not" show "$id"
	out_has "and is the one" "^tenant +uid:0$"
	finish "$other" TERM
}

# gmemd lists a VM that was closed as long as its process lives.
released() {
	exits 0 "a VM is closed" call vm.close "{\"vm\": \"$id\"}"
	exits 0 "a released VM has its name" show web
	out_has "it is released" "^state +released$"
	background again python3 "$here/gmemctl_peers.py" vmm "$vmms" web 1 0 0
	local again=$last
	check "another VM gets the name" wait_for grep -q ready "$tmp/again"
	exits 0 "the name is the new one's" --json show web
	check "and not the released one's" json "v['vm'] != '$id' and v['state'] == 'opening'"
	finish "$again" TERM
}

unprivileged() {
	if ! as_nobody true; then
		skip "as another user" "needs root and setpriv"
		return
	fi
	local root_ctl=$ctl
	mkdir "$tmp/bin"
	cp "$build/client/gmemctl" "$build"/client/libgmem.so.0 "$tmp/bin"
	printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s %s "$@"\n' \
		"$tmp/bin" "${nobody[*]}" "$tmp/bin/gmemctl" >"$tmp/as-nobody"
	chmod 755 "$tmp/as-nobody"
	ctl=$tmp/as-nobody
	if as_nobody [ -r /dev/kvm ]; then
		skip "probe asks gmemd where it can't open /dev/kvm" "anybody can open it here"
	else
		exits 0 "probe where gmemd can be asked" --json probe
		check "it says whom it has asked" json 'v["asked"] == "gmemd" and v["failed"] == 0'
		exits 1 "probe where nobody can be asked" --socket="$tmp/none" probe
		out_has "it says so" "guest_memfd +: FAIL  not known"
	fi
	chmod 600 "$admin"
	exits 1 "who may not connect is refused" ping
	err_has "with the reason" "may not connect"
	ctl=$root_ctl
}

lost_events() {
	background lossy python3 "$here/gmemctl_peers.py" gmemd "$tmp/lossy.sock" 1 2 5 6 8
	wait_for grep -q ready "$tmp/lossy"
	TZ=UTC run --timeout=2 --socket="$tmp/lossy.sock" events
	check "events ends with 3 when gmemd is gone" [ "$rc" = 3 ]
	err_has "a gap is said" "2 events were lost"
	err_has "each gap is" "1 event was lost"
	out_has "time, sizes and strings are as people want" \
		'^2023-11-14T22:13:20\.000016\+00:00 gate_refused vm-1 name="a b" memory_size=1\.5M guest_phys_addr=0x1000$'
	background lossy.json python3 "$here/gmemctl_peers.py" gmemd "$tmp/lossy2.sock" 3 4
	wait_for grep -q ready "$tmp/lossy.json"
	exits 0 "events --json with a gap" --socket="$tmp/lossy2.sock" --json events --count=2
	check "the gap is JSON" json 'v["data"] == {"reason": "gap", "lost": 2}' "$tmp/err"
}

gmemd_ends() {
	background last "$ctl" --socket="$admin" --timeout=2 events
	local events=$last
	sleep 0.5
	finish "$vmm" CONT
	finish "$gmemd" TERM
	wait "$events"
	rc=$?
	check "events ends with 3 with gmemd" [ $rc -eq 3 ]
	check "and says who does not answer" grep -q "admin.sock: no answer in 2 s" "$tmp/last.err"
	exits 3 "ping after gmemd" --timeout=1 ping
}

have_kvm=0
without_gmemd
helps
probes
lost_events
if [ $have_kvm = 0 ]; then
	skip "gmemctl with gmemd" "no /dev/kvm with guest_memfd"
else
	check "gmemd starts" start_gmemd
	empty_gmemd
	calls
	one_vm
	many_vms
	ambiguous
	released
	unprivileged
	gmemd_ends
fi
echo "1..$number"
