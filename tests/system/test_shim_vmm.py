#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmem-run --shim with a VMM that does what QEMU doesn't, with programs that are none, and with those that it can't serve."""

import contextlib
import errno
import os
import shutil
import struct
import subprocess

from gmemtest import linux, qemu, tap
from gmemtest.host import Host
from gmemtest.qemu import NOBODY, Programs, as_nobody, wait_until
from gmemtest.tap import Skip, check, equal, need, test

SECONDS = 60
MIB = 1 << 20
EFFECTIVE = 0x02000001  # VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE
NOT_EXECUTABLE, NOT_FOUND, FAILED = 126, 127, 125

host = programs = operator = None


def set_up():
    global host, programs, operator
    linux.require_root()
    if os.uname().machine != "x86_64":
        raise Skip("the guest is x86 code")
    linux.require_guest_memfd()
    host = Host(gate="required")
    programs = Programs(host)
    shutil.copy(os.path.join(os.environ["BUILD_DIR"], "tests", "system", "shim_vmm"), programs.directory)
    operator = host.operator()


def tear_down():
    operator.close()
    host.stop()


def reconnect():
    global operator
    operator.close()
    operator = host.operator()


def vms():
    return operator.call("vm.list")["vms"]


def view():
    return operator.call("vm.get", {"vm": need(vms(), "there is no VM")[0]["vm"]})


class Vmm:
    """A part of shim_vmm's, up to where it wants to be looked at."""

    def __init__(self, part, *options):
        self.process = subprocess.Popen(
            programs.run_options(*options) + [programs.path("shim_vmm"), part],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=as_nobody,
            text=True,
        )
        self.values = []
        self.read()

    def read(self):
        for line in self.process.stdout:
            name, _, value = line.rstrip("\n").partition(" ")
            if name == "look":
                return
            self.values.append((name, value))

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.read()

    def of(self, name):
        return [int(value) for found, value in self.values if found == name]

    def end(self):
        self.process.communicate(timeout=SECONDS)
        equal(self.process.returncode, 0, "its status")


@contextlib.contextmanager
def vmm(part, *options):
    running = Vmm(part, *options)
    try:
        yield running
        running.end()
    finally:
        running.process.kill()
        running.process.wait()
    wait_until(lambda: not vms(), "the VM's end")


@test("one anonymous area with a hole, two slots; what a balloon drops is free, and zero")
def hole():
    with vmm("hole") as running:
        equal(running.of("closed_on_exec"), [0], "the device, as it was asked for")
        equal(running.of("low") + running.of("high") + running.of("run"), [0, 0, 0], "slots, and the guest")
        equal(running.of("counted"), [1], "what the guest has written")
        found = view()
        equal([memory["size"] for memory in found["memories"]], [32 * MIB] * 2, "memories")
        equal(found["committed"], 64 * MIB, "what is charged")
        check(found["resident"] >= 16 * MIB, "resident: %d" % found["resident"])
        before = found["resident"]
        running.go_on()
        equal(running.of("dropped"), [0], "madvise")
        equal(view()["resident"], before - 8 * MIB, "resident, after 8 MiB were dropped")
        running.go_on()
        equal(running.of("ones"), [8 * MIB], "bytes that are left")


@test("threads that change slots while others make memfds of guest memory and close them")
def threads():
    with vmm("threads") as running:
        equal(running.of("failed"), [0] * 4, "errnos")
        wait_until(lambda: len(view()["memories"]) == 1, "what was closed is gone")
        running.go_on()


@test("writes to 40 slots are logged, and no longer, while the guest goes through all of them: it never misses one")
def many():
    with vmm("many") as running:
        for through in ("mapping", "guest_memfd") * 3:
            found = [slot["through"] for slot in view()["slots"] if slot["slot"] > 0]
            equal(found, [through] * 40, "its slots")
            running.go_on()
        equal(running.of("set"), [0] * 8, "errnos")
        equal(running.of("others"), [0], "exits but for the port")


@test("files that are duplicated, put elsewhere and closed; a child has nothing of it")
def misuse():
    with vmm("misuse") as running:
        running.end()
        equal(running.of("duplicate"), [0], "a slot by a duplicate of the VM's file")
        equal(running.of("another_file"), [errno.EPERM], "a slot by a number that is another file's")
        equal(running.of("second"), [errno.EPERM], "a second VM")
        equal(running.of("again"), [0], "its slot, by the VM's file that was given again")
        equal(running.of("device_in_child"), [errno.EACCES], "the device in a child")
        equal(running.of("slot_in_child"), [errno.EPERM], "a slot in a child")
        said = dict(running.values)
        equal(said.get("preload"), "", "LD_PRELOAD of a child's")
        equal(said.get("0"), "", "its variables")
        text = str(running.values)
        check("socket:" not in text and "gmem" not in text, "its files: " + text)


@test("a VMM that closes all numbers but its own, by range and one by one, and opens some over them: its VM goes on")
def closing():
    with vmm("closing") as running:
        equal(running.of("range") + running.of("rest"), [0, 0], "close_range")
        equal(running.of("before") + running.of("after") + running.of("unbound"), [0, 0, 0], "slots")
        wait_until(lambda: [memory["size"] for memory in view()["memories"]] == [4 * MIB] * 2, "its memories")
        host.restart()
        reconnect()
        running.go_on()
        equal(running.of("again"), [0], "a slot when gmemd has restarted")
        running.process.wait(SECONDS)
        equal(running.of("closed"), [errno.EPERM], "a slot when it has closed the VM: the gate lets none through")


@test("what the VMM has written before it binds it stays its own; what it has allocated does not")
def written():
    with vmm("written") as running:
        equal(running.of("written") + running.of("kept") + running.of("zeroed"), [0, 1, 0], "slots")
        found = view()
        equal([memory["size"] for memory in found["memories"]], [4 * MIB], "memories")
        equal(found["resident"], 4 * MIB, "what was allocated is allocated")
        equal([slot["memory"] for slot in found["slots"]].count(None), 1, "slots of its own memory")


def run(*command, options=(), environment=None, user=as_nobody):
    return subprocess.run(
        programs.run_options(*options) + list(command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        preexec_fn=user,
        env=dict(os.environ, **environment) if environment else None,
    )


def ends_with(ended, status, text):
    equal(ended.returncode, status, "status; " + ended.stderr)
    check(text in ended.stdout + ended.stderr, "%r is said: %r" % (text, ended.stdout + ended.stderr))


@test("a program that is no VMM runs as it does without, and opens no VM")
def no_vmm():
    ends_with(run("/bin/echo", "as ever"), 0, "as ever")
    ends_with(run("/bin/sh", "-c", "exit 7"), 7, "")
    check("opened as \"echo" not in host.log(), "gmemd has heard of no VM")


@test("LD_PRELOAD and GMEM_ in the environment")
def environment():
    other = "/usr/lib/x86_64-linux-gnu/libm.so.6"
    need(os.path.exists(other), "no " + other)
    # gmem-run may be built with sanitizers, which want to be first.
    forged = {"LD_PRELOAD": other, "ASAN_OPTIONS": "verify_asan_link_order=0", "GMEM_FD": "0", "GMEM_VM": "vm-1", "GMEM_SHIM": "/nonexistent"}
    forged["GMEM_GATE"] = "none"
    ended = run("/bin/sh", "-c", "echo $LD_PRELOAD; echo $GMEM_FD$GMEM_VM$GMEM_GATE.", environment=forged)
    equal(ended.stdout.split(), ["%s:%s" % (programs.path("libgmem-shim.so"), other), "."], "what the VMM has")
    ended = run(programs.path("shim_vmm"), "misuse", environment=forged)
    equal(ended.returncode, 0, "a VMM's status: " + ended.stderr)
    check("preload %s\n" % other in ended.stdout, "its child's LD_PRELOAD: " + ended.stdout)


@test("memory beyond the VM's limit is refused by its name and size")
def limit():
    ended = run(programs.path("shim_vmm"), "hole", options=("--commit-limit=40M",))
    check("ram-2 of %d bytes: gmemd refused" % (32 * MIB) in ended.stderr, "said: " + ended.stderr)
    check("low 0\nhigh %d\n" % errno.ENOMEM in ended.stdout, "its slots: " + ended.stdout)


def copy_of(program, name):
    path = programs.path(name)
    shutil.copy(program, path)
    os.chmod(path, 0o755)
    return path


@test("programs that nothing can be preloaded into are refused, with the reason")
def refused():
    static = programs.path("static")
    made = subprocess.run(
        ["cc", "-static", "-nostdlib", "-x", "c", "-o", static, "-"], input="void _start(void) {}", text=True, check=False
    )
    equal(made.returncode, 0, "a static program can be made")
    ends_with(run(static), FAILED, "linked statically")
    with_rights = copy_of("/bin/true", "with-rights")
    os.setxattr(with_rights, "security.capability", struct.pack("<5I", EFFECTIVE, 1 << 10, 0, 0, 0))
    ends_with(run(with_rights), FAILED, "has file capabilities")
    ends_with(run(with_rights, user=None), 0, "")
    setuid = copy_of("/usr/bin/id", "setuid")
    os.chmod(setuid, 0o4755)
    ends_with(run(setuid, "-u"), 0, "without its rights")
    ends_with(run(setuid, "-u"), 0, str(NOBODY))
    ends_with(run(programs.path("nothing")), NOT_FOUND, "No such file")
    ends_with(run(programs.scratch), NOT_EXECUTABLE, "Permission denied")
    ends_with(run("true", options=("--type=sw_protected",)), 2, "default type")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
