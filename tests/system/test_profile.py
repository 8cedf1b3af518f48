#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""host.profile and gmemctl profile: requests are counted, their time is some stage's, and nothing is left when who asked is gone; probes."""

import json
import os
import re
import shutil
import signal
import subprocess

from gmemtest import linux, schema, tap
from gmemtest.daemon import Daemon
from gmemtest.host import wait_until
from gmemtest.tap import Skip, check, equal, need, test
from gmemtest.wire import request

CTL = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
GMEMD = os.path.join(os.environ["BUILD_DIR"], "daemon", "gmemd")
STAGES = ["receive", "parse", "check", "act", "record", "keep", "answer"]
MIB = 1 << 20

daemon = operator = vmm = vm = None


def set_up():
    global daemon, operator, vmm, vm
    daemon = Daemon(backend="model")
    operator, vmm = daemon.operator(), daemon.peer()
    vm = vmm.call("vm.open", {"name": "profile", "gate": "none"})["vm"]


def tear_down():
    vmm.close()
    operator.close()
    daemon.stop()


def profile(action, peer=None):
    return (peer or operator).call("host.profile", {"action": action})


def counts(told):
    """How many requests there were of each method; None: of those that there are not."""
    return {row["method"]: row["requests"] for row in told["methods"] if row["requests"]}


def batch(*names):
    operator.send([request(name, number=number) for number, name in enumerate(names)])
    operator.receive_answer()


@test("each request is counted once, of its method, and not those before and after")
def counted():
    operator.call("ping")
    equal(counts(profile("begin")), {}, "at the beginning")
    for _ in range(5):
        operator.call("ping")
    operator.error("vm.get", {"vm": "none"})
    operator.error("no.method")
    batch("ping", "vm.list", "ping")
    memory = vmm.call("memory.create", {"vm": vm, "size": MIB, "backing": "memfd"})["memory"]
    operator.call("memory.preallocate", {"memory": memory})
    vmm.call("memory.close", {"memory": memory})
    expected = {"ping": 7, "vm.get": 1, None: 1, "vm.list": 1}
    expected |= {"memory.create": 1, "memory.preallocate": 1, "memory.close": 1}
    equal(counts(profile("read")), expected, "requests")
    equal(counts(profile("end")), expected | {"host.profile": 1}, "with the one that has read")
    profile("begin")
    operator.call("ping")
    profile("begin")
    equal(counts(profile("end")), {}, "begun anew")


@test("all time is of a method and a stage, within that which has passed")
def times():
    document = operator.call("rpc.discover", {"method": "host.profile"})
    profile("begin")
    for number in range(200):
        operator.call("vm.get", {"vm": vm})
        if number % 10 == 0:
            memory = vmm.call("memory.create", {"vm": vm, "size": MIB, "backing": "memfd"})["memory"]
            vmm.call("memory.close", {"memory": memory})
    told = profile("end")
    faults = schema.faults_of(told, schema.resolved(document["methods"][0]["result"]["schema"], document))
    check(not faults, faults)
    equal(told["stages"], STAGES, "stages")
    rows = {row["method"]: dict(zip(told["stages"], row["times_ns"])) for row in told["methods"]}
    check(all(len(row["times_ns"]) == len(STAGES) for row in told["methods"]), told)
    spent = sum(sum(row.values()) for row in rows.values())
    check(0 < spent <= told["elapsed_ns"], "%d of %d" % (spent, told["elapsed_ns"]))
    check(0 < told["processor_ns"] <= told["elapsed_ns"], told)
    for stage in set(STAGES) - {"keep"}:
        check(rows["vm.get"][stage] > 0, "vm.get's %s" % stage)
    equal(rows["memory.create"]["keep"], 0, "the model's memories are nobody's to keep")


@test("what gmemd-keeper is told is a stage of whoever has it told")
def keeper():
    linux.require_guest_memfd()
    if os.environ.get("KEEPER") == "no":
        raise Skip("there is to be no keeper")
    kvm = Daemon()
    peer, teller = kvm.peer(), kvm.operator()
    own = peer.call("vm.open", {"name": "kept", "gate": "none"})["vm"]
    profile("begin", teller)
    peer.call("ping")
    peer.call("memory.create", {"vm": own, "size": MIB, "backing": "memfd"})
    told = profile("end", teller)
    kept = {row["method"]: row["times_ns"][STAGES.index("keep")] for row in told["methods"]}
    check(kept["memory.create"] > 0 and kept["ping"] == 0, kept)
    for one in (peer, teller):
        one.close()
    kvm.stop()


@test("each connection has a profile of its own, until it ends")
def owned():
    first, second = daemon.operator(), daemon.operator()
    profile("begin", first)
    operator.call("ping")
    profile("begin", second)
    operator.call("ping")
    first.close()
    # Whoever comes later is answered when gmemd has seen that one end.
    later = daemon.operator()
    equal(later.error("host.profile", {"action": "read"})["code"], -32004, "another connection's")
    operator.call("ping")
    equal(counts(profile("end", second))["ping"], 2, "of the second")
    equal(second.error("host.profile", {"action": "end"})["code"], -32004, "once it has ended")
    later.close()
    second.close()


@test("it is for operators, well formed, and alone in its packet")
def refused():
    equal(vmm.error("host.profile", {"action": "begin"})["code"], -32002, "a VMM")
    for params in ({}, {"action": "stop"}, {"action": 1}, {"action": None}, {"action": "begin", "seconds": 1}):
        error = operator.error("host.profile", params)
        equal(error["code"], -32602, params)
        check(error["data"]["param"] in ("action", "seconds"), error)
    for action in ("read", "end"):
        error = operator.error("host.profile", {"action": action})
        equal((error["code"], error["data"]["with"]), (-32004, "profile"), action)
        check("begun no profile" in error["message"], error)
    operator.send([request("host.profile", {"action": "begin"}, 1), request("ping", number=2)])
    answers, _ = operator.receive_answer()
    equal([answer.get("error", {}).get("code") for answer in answers], [-32600, None], "in a batch")
    equal(operator.error("host.profile", {"action": "read"})["code"], -32004, "nothing is begun")


def gmemctl(*arguments):
    return [CTL, "--socket=" + daemon.socket_path("admin.sock"), *arguments]


def run(*arguments):
    return subprocess.run(gmemctl(*arguments), capture_output=True, text=True, timeout=60, check=False)


def heeds_interrupts():
    """Even where this test runs in a shell's background, and they are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    linux.die_with_parent()


def waits_for_signal(pid):
    """gmemctl has begun the profile, and reads its signals from a file from there on."""
    return bool(linux.fds_of(pid, "anon_inode:[signalfd]"))


@test("gmemctl profile shows the shares, which add up, when it is interrupted")
def shown():
    child = subprocess.Popen(gmemctl("profile", "3600"), stdout=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts)
    try:
        need(wait_until(lambda: waits_for_signal(child.pid)), "it has begun")
        for _ in range(50):
            operator.call("ping")
        child.send_signal(signal.SIGINT)
        lines = child.communicate(timeout=60)[0].splitlines()
    finally:
        child.kill()
        child.wait()
    equal(child.returncode, 0, "its status")
    check(re.fullmatch(r"[\d.]+ seconds, 50 requests; gmemd's loop had a processor for [\d.]+%", lines[0]), lines[0])
    equal(lines[2].split(), ["STAGE", "SHARE", "SECONDS", "US/REQUEST"], "titles")
    rows = [line.split() for line in lines[3 : 3 + len(STAGES) + 1]]
    equal([row[0] for row in rows], STAGES + ["between"], "rows")
    check(99 <= sum(float(row[1].rstrip("%")) for row in rows) <= 101, rows)
    equal(lines[-1].split()[:2], ["ping", "50"], "the method")


@test("gmemctl --json profile is what host.profile says; SECONDS are checked")
def raw():
    told = json.loads(run("--json", "profile", "1").stdout)
    equal(told["stages"], STAGES, "stages")
    check(told["elapsed_ns"] >= 1e9, told)
    for seconds in ("0", "x", "1x", "+1", "86401", "99999999999999999999", ""):
        answer = run("profile", seconds)
        equal((answer.returncode, answer.stdout), (2, ""), seconds)
        check("SECONDS must be a number from 1 to" in answer.stderr, answer.stderr)


@test("gmemd has its probes")
def probes():
    if os.environ.get("PROBES") != "yes":
        raise Skip("it was built without probes, for sys/sdt.h (systemtap-sdt-dev) is missing or they were not wanted")
    if not shutil.which("readelf"):
        raise Skip("there is no readelf (binutils)")
    notes = subprocess.run(["readelf", "-n", GMEMD], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"Provider: gmemd\s+Name: (\w+)\s+Location: .*\s+Arguments: (.*)", notes)
    found = {name: arguments.split() for name, arguments in found}
    equal({name: len(arguments) for name, arguments in found.items()}, {"stage__begin": 3, "stage__end": 4}, "probes")


tap.main(set_up, tear_down)
