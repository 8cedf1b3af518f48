#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Python module for VMMs: under gmem-run behind the gate, and without one; and its examples."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from gmemtest import linux, tap
from gmemtest.daemon import Daemon
from gmemtest.tap import check, equal, need, test

BUILD = os.environ["BUILD_DIR"]
SOURCE = pathlib.Path(os.environ["SOURCE_DIR"])
RUN = os.path.join(BUILD, "client", "gmem-run")
MODULE = SOURCE / "client" / "python"
MIB = 1 << 20

daemons = {}


def set_up():
    daemons["model"] = Daemon(backend="model")
    try:
        linux.require_guest_memfd()
    except tap.Skip as reason:
        daemons["kvm"] = reason
    else:
        daemons["kvm"] = Daemon()


def tear_down():
    for daemon in daemons.values():
        if isinstance(daemon, Daemon):
            daemon.stop()


def backend(name):
    if isinstance(daemons[name], tap.Skip):
        raise daemons[name]
    return daemons[name]


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(MODULE), "PYTHONDONTWRITEBYTECODE": "1", **more}


def under_gmem_run(daemon, *command, options=()):
    whole = [RUN, "--socket=" + daemon.socket_path("gmemd.sock"), "--name=python", *options, "--", "/usr/bin/python3", *command]
    return subprocess.run(whole, env=environment(), capture_output=True, text=True, timeout=60, check=False)


def told(answer):
    need(answer.returncode == 0, f"it exits with {answer.returncode}: {answer.stderr}")
    return json.loads(answer.stdout.splitlines()[-1])


def vmm(daemon, work, options=()):
    return told(under_gmem_run(daemon, str(SOURCE / "tests/system/python_vmm.py"), work, options=options))


def check_memory_and_slots(got, gate, has_vm):
    equal(got["vm"], has_vm, "whether there is a VM's file")
    equal(got["bound"], {
        "gate": gate, "committed": 4 * MIB, "memories": [["ram", 4 * MIB, "ready"]],
        "slots": [[0, 0, MIB, "bound"], [1, 16 * MIB, 3 * MIB, "bound"]],
    }, "what gmemd says while it is bound")
    equal(got["fd"], False, "whether a memory's file is inherited")
    check(got["reclaimed"], "pages were given back")
    check(got["zero"], "what was given back reads as zeroes")
    equal(got["allocated"], MIB, "bytes that were allocated")
    equal(got["end"], {"gate": gate, "committed": 0, "memories": [], "slots": []}, "what gmemd says at the end")


@test("behind the gate: memory, slots, pages")
def gated():
    check_memory_and_slots(vmm(backend("kvm"), "memory_and_slots"), "active", True)


@test("on the model: memory, slots, pages")
def modelled():
    check_memory_and_slots(vmm(backend("model"), "memory_and_slots"), "none", False)


def without_gmem_run(name):
    daemon = backend(name)
    command = ["/usr/bin/python3", str(SOURCE / "tests/system/python_vmm.py"), "memory_and_slots"]
    more = environment(TEST_SOCKET=daemon.socket_path("gmemd.sock"))
    return told(subprocess.run(command, env=more, capture_output=True, text=True, timeout=60, check=False))


@test("without a gate, where the policy permits that")
def ungated():
    check_memory_and_slots(without_gmem_run("kvm"), "none", True)


@test("without gmem-run on the model")
def ungated_model():
    check_memory_and_slots(without_gmem_run("model"), "none", False)


@test("what gmemd refuses is raised with its code, reason and parameter")
def refusals():
    got = vmm(backend("model"), "refusals")
    equal(got["size"], [-32602, "invalid_params", "size", True], "a size that is no page's")
    equal(got["unknown"], [-32602, "invalid_params", "nonsense", True], "an unknown parameter")
    equal(got["slot"], [-32001, "not_found", None, True], "a slot that there is not")
    equal(got["method"][0], -32601, "a method that there is not")
    equal(got["end"]["committed"], 0, "what is charged after that")


@test("guest frames become private and shared again")
def conversion():
    got = vmm(backend("model"), "conversion", options=["--type=sw_protected"])
    equal(got["private"], [{"guest_phys_addr": 0, "size": MIB}], "private ranges")
    equal(got["shared"], [], "private ranges in the end")


@test("another process opens a memory that it was granted")
def granted():
    equal(vmm(backend("model"), "granted")["status"], 0, "how the other process ends")


@test("threads share a connection")
def threads():
    equal(vmm(backend("model"), "threads"), {"made": 32, "names": True}, "memories that were made")


@test("a child of the process that gmem-run has become can't open its VM")
def child():
    equal(vmm(backend("model"), "child")["status"], 3, "how the child ends")


@test("its examples run")
def examples():
    daemon = backend("model")
    watch = [str(MODULE / "examples" / "watch.py"), "2", daemon.socket_path("admin.sock")]
    watching = subprocess.Popen(["/usr/bin/python3", *watch], env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        equal(watching.stdout.readline(), "subscribed\n", "what watch.py says first")
        answer = under_gmem_run(daemon, str(MODULE / "examples" / "minimal.py"))
        equal(answer.returncode, 0, f"how minimal.py ends, with {answer.stderr}")
        check("VM python, gate none: 2097152 bytes" in answer.stdout, f"minimal.py says {answer.stdout}")
        lines = watching.communicate(timeout=60)[0].splitlines()
        equal((lines[:1], watching.returncode), (["vm_opened python"], 0), "what watch.py says then")
    finally:
        watching.kill()
        watching.wait()


@test("it is installed where Python finds it")
def installed():
    if not shutil.which("meson"):
        raise tap.Skip("no meson, to ask where that is")
    with tempfile.TemporaryDirectory(prefix="gmemd-test-") as root:
        command = ["meson", "introspect", "--installed", BUILD]
        files = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        parts = {source: target for source, target in files.items() if "/client/python/" in source}
        for source, target in parts.items():
            path = pathlib.Path(root + target)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, path)
        folder = pathlib.Path(next(iter(parts.values()))).parent.parent
        answer = subprocess.run(["/usr/bin/python3", "-Bc", "import gmem; print(gmem.connect.__name__)"],
                                env={"PYTHONPATH": root + str(folder)}, capture_output=True, text=True, check=False)
        equal((answer.returncode, answer.stdout, answer.stderr), (0, "connect\n", ""), "what importing it says")
        options = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", BUILD], check=True, capture_output=True).stdout)
        prefix = next(option["value"] for option in options if option["name"] == "prefix")
        check(str(folder).startswith(prefix + "/"), f"{folder} is below {prefix}")


sys.dont_write_bytecode = True
tap.main(set_up, tear_down)
