#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmem-run-qemu with QEMU's arguments as libvirt gives them, as an unprivileged user whom /dev/kvm is closed to."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import textwrap

from gmemtest import qemu, tap
from gmemtest.host import Host
from gmemtest.qemu import PROGRAM, SECONDS, Programs, as_nobody, slurp, wait_until
from gmemtest.tap import check, equal, need, test

UUID = "123e4567-e89b-12d3-a456-426614174000"
PROBE = ("-S", "-no-user-config", "-nodefaults", "-nographic")
GREETING = {"execute": "qmp_capabilities"}
GUEST = ("-S", "-nodefaults", "-display", "none", "-no-user-config", "-accel", "kvm", "-m", "128", "-qmp", "stdio")
RAM = ("-machine", "pc-q35-7.2,usb=off,memory-backend=pc.ram")
RAM += ("-object", json.dumps({"qom-type": "memory-backend-ram", "id": "pc.ram", "size": 128 << 20}))
SANDBOX = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")

# What a probe's gate must stop, on a VM that it may make.
PRETENDER = """\
    #!/usr/bin/python3
    import ctypes, errno, json, os, sys
    sys.path.insert(0, os.path.dirname(__file__))
    from gmemtest import linux
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    vm = linux.ioctl(kvm, linux.KVM_CREATE_VM, 0)
    came = {"vm": vm >= 0}
    page = ctypes.create_string_buffer(4096)
    for name, command in %r.items():
        try:
            linux.ioctl(vm, command, ctypes.addressof(page))
            came[name] = None
        except OSError as e:
            came[name] = errno.errorcode[e.errno]
    print(json.dumps(came))
    """
REFUSED = {
    "KVM_SET_USER_MEMORY_REGION": 0x4020AE46,
    "KVM_SET_USER_MEMORY_REGION2": 0x40A0AE49,
    "KVM_CREATE_GUEST_MEMFD": 0xC040AED4,
    "KVM_SET_MEMORY_ATTRIBUTES": 0x4020AED2,
    "KVM_SET_MEMORY_ATTRIBUTES with another size": 0x4040AED2,
}
PASSED = {"KVM_CHECK_EXTENSION": 0xAE03}

host = programs = operator = processor = None


def set_up():
    global host, programs, operator, processor
    qemu.require()
    processor = qemu.find_processor()
    host = Host(gate="required")
    programs = Programs(host)
    build = os.environ["BUILD_DIR"]
    shutil.copy(os.path.join(build, "client/gmem-run-qemu"), programs.directory)
    os.symlink("gmem-run-qemu", programs.path("gmem-run-" + PROGRAM))
    operator = host.operator()


def tear_down():
    operator.close()
    host.stop()


def environment(path="", socket=None):
    """What libvirt leaves, and where this gmemd is."""
    libraries = {name: value for name, value in os.environ.items() if name in ("LD_LIBRARY_PATH", "ASAN_OPTIONS")}
    return dict(libraries, PATH=path + "/usr/bin:/bin", GMEM_SOCKET=socket or host.socket_path("gmemd.sock"))


def start(*arguments, program="gmem-run-qemu", **where):
    return subprocess.Popen(
        [programs.path(program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=as_nobody,
        env=environment(**where),
        text=True,
    )


def run(*arguments, said="", **where):
    """(its status, what it has answered, what it has said)."""
    process = start(*arguments, **where)
    answered, error = process.communicate(said, SECONDS)
    return process.returncode, answered, error


def ask(*commands):
    return "".join(json.dumps(command) + "\n" for command in (GREETING, *commands, {"execute": "quit"}))


def returned(answered):
    return [message["return"] for message in map(json.loads, answered.splitlines()) if "return" in message]


def vms():
    return operator.call("vm.list")["vms"]


@contextlib.contextmanager
def running(*arguments):
    process = start("-cpu", processor, *GUEST, *RAM, *arguments)
    try:
        process.stdin.write(json.dumps(GREETING) + "\n" + json.dumps({"execute": "query-kvm"}) + "\n")
        process.stdin.flush()
        wait_until(lambda: vms() or process.poll() is not None, "its VM")
        need(process.poll() is None, "QEMU has ended")
        yield process
        equal(process.communicate(json.dumps({"execute": "quit"}), SECONDS)[1], "", "what it has said")
        equal(process.returncode, 0, "QEMU's status")
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    wait_until(lambda: not vms(), "the VM's end")


@test("a probe has KVM, and no VM of gmemd's")
def probe():
    for machine in ("none,accel=kvm", "type=none,accel=kvm:tcg"):
        expand = {"execute": "query-cpu-model-expansion", "arguments": {"type": "full", "model": {"name": "host"}}}
        said = ask({"execute": "query-kvm"}, expand)
        status, answered, error = run(*PROBE, "-machine", machine, "-qmp", "stdio", said=said)
        equal((status, error), (0, ""), "its end")
        equal(returned(answered)[1], {"enabled": True, "present": True}, "KVM")
        check(returned(answered)[2]["model"]["props"], "the processor's features")
    equal(vms(), [], "VMs")


@test("a probe that daemonises, as libvirt's do")
def daemonised():
    path = os.path.join(programs.scratch, "probe")
    monitor = "unix:%s.monitor,server=on,wait=off" % path
    arguments = (*PROBE, "-machine", "none,accel=kvm:tcg", "-qmp", monitor, "-pidfile", path + ".pid", "-daemonize")
    status, _, error = run(*arguments, program="gmem-run-" + PROGRAM)
    equal((status, error), (0, ""), "its end")
    pid = int(slurp(path + ".pid"))
    with qemu_monitor(path + ".monitor") as monitor:
        equal(monitor({"execute": "query-kvm"}), {"enabled": True, "present": True}, "KVM")
        monitor({"execute": "quit"})
    wait_until(lambda: not os.path.exists("/proc/%d" % pid), "its end")


@contextlib.contextmanager
def qemu_monitor(path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
        file = connection.makefile("rw")
        file.readline()

        def say(command):
            file.write(json.dumps(command) + "\n")
            file.flush()
            while True:
                message = json.loads(file.readline())
                if "return" in message:
                    return message["return"]

        say(GREETING)
        yield say


@test("what calls itself a probe binds no memory")
def pretender():
    directory = pathlib.Path(programs.scratch, "pretender")
    directory.mkdir()
    shutil.copytree(pathlib.Path(qemu.__file__).parent, directory / "gmemtest")  # which others may read there
    script = directory / PROGRAM
    script.write_text(textwrap.dedent(PRETENDER) % (dict(REFUSED, **PASSED),), encoding="utf-8")
    script.chmod(0o755)
    status, answered, error = run("-machine", "none", path="%s:" % directory)
    equal((status, error), (0, ""), "its end")
    expected = dict({"vm": True}, **{name: "EPERM" for name in REFUSED}, **{name: None for name in PASSED})
    equal(json.loads(answered), expected, "what came of its calls")


@test("a guest's memory is gmemd's, under the domain's name and UUID")
def guest():
    with running("-name", "guest=pl,,ain,debug-threads=on", "-uuid", UUID, *SANDBOX) as process:
        wait_until(lambda: vms()[0]["gate"] == "active", "its gate")
        [vm] = vms()
        named = (vm["name"], vm["uuid"], vm["pid"], vm["gate"])
        equal(named, ("pl,ain", UUID, process.pid, "active"), "the VM")
        wait_until(lambda: 128 << 20 in sizes(vm), "the guest's RAM")


def sizes(vm):
    return [memory["size"] for memory in operator.call("vm.get", {"vm": vm["vm"]})["memories"]]


@test("a domain whose UUID is another's is refused, in one line")
def same_uuid():
    with running("-name", "first", "-uuid", UUID):
        arguments = ("-cpu", processor, *GUEST, *RAM, "-name", "second", "-uuid", UUID)
        status, _, error = run(*arguments, said=ask())
        check(status != 0, "its status")
        ours = [line for line in error.splitlines() if "gmemd refused" in line]
        equal(len(ours), 1, "lines of ours in %r" % error)
        check("UUID" in ours[0], "%r names what it is about" % ours[0])


@test("without arguments of libvirt's it is QEMU")
def by_hand():
    nowhere = os.path.join(programs.scratch, "nowhere")
    status, answered, error = run("--version", socket=nowhere)
    check(status == 0 and "QEMU emulator version" in answered and not error, "its version: %r %r" % (answered, error))
    with running():
        check(vms()[0]["name"].startswith(PROGRAM), "a name: %r" % vms()[0]["name"])


@test("without the emulator, and with probes switched off, it says so")
def refused():
    os.symlink("gmem-run-qemu", programs.path("gmem-run-qemu-system-none"))
    status, _, error = run("-machine", "none", program="gmem-run-qemu-system-none")
    equal((status, error), (127, "gmem-run-qemu: qemu-system-none: No such file or directory\n"), "without an emulator")
    closed = Host(gate="required", config="[gate]\nprobes = no\n")
    status, answered, error = run(*PROBE, "-machine", "none,accel=kvm", socket=closed.socket_path("gmemd.sock"))
    closed.stop()
    equal((status, answered), (125, ""), "its end")
    check(error.startswith("gmem-run-qemu: a device for a probe: gmemd refused: "), error)
    check("probes" in error and error.count("\n") == 1, error)


if __name__ == "__main__":
    tap.main(set_up, tear_down)
