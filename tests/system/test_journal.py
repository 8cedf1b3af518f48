#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The journal of acts: an entry for each, with the fields that the manual promises, counted, and bounded where a peer can
bring them about at will."""

import contextlib
import os
import queue
import re
import select
import signal
import threading
import time

from gmemtest import linux, programs, tap
from gmemtest.child import Child
from gmemtest.host import wait_until
from gmemtest.journal import entries, journal
from gmemtest.tap import check, equal, need, test
from gmemtest.wire import Peer

SECONDS = 60
MANUAL = os.path.join(os.environ["BUILD_DIR"], "protocol", "gmemd-protocol.md")  # before others may run what they need
PAGE = os.sysconf("SC_PAGE_SIZE")
ROW = re.compile(r"^\| `(\w+)` \| ([0-9a-f]{32}) \|.*\|([^|]*)\|$", re.MULTILINE)
UUID = "123e4567-e89b-12d3-a456-426614174000"
OTHERS = 4711


def set_up():
    programs.let_others_run_them()


def tear_down():
    pass


def manual():
    """What it says of each act: {name: (MESSAGE_ID, the fields of its entries)}"""
    with open(MANUAL, encoding="utf-8") as file:
        rows = ROW.findall(file.read())
    return {name: (number, set(re.findall(r"`(\w+)=`", fields))) for name, number, fields in rows}


class Reader:
    """Of the entries of acts, by their names. It reads them as they come: the socket's queue is short."""

    def __init__(self, entrance):
        self.entrance = entrance
        self.queue = queue.Queue()
        self.seen = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with contextlib.suppress(OSError):
            while True:
                [entry] = entries([self.entrance.recv(1 << 16)])
                self.queue.put({field: value.decode() for field, value in entry.items()})

    def catch_up(self):
        """What comes while ten entries wait is lost."""
        need(wait_until(lambda: not select.select([self.entrance], [], [], 0)[0]), "entries are not read")

    def next(self, name):
        """The next entry of that act."""
        until = time.monotonic() + SECONDS
        with contextlib.suppress(queue.Empty):
            while True:
                entry = self.queue.get(timeout=max(0, until - time.monotonic()))
                self.seen.append(entry)
                if entry.get("GMEMD_ACT") == name:
                    return entry
        raise tap.Failed("no entry %s; there are %r" % (name, self.seen[-5:]))


COMMON = {"MESSAGE", "MESSAGE_ID", "GMEMD_ACT", "PRIORITY", "SYSLOG_IDENTIFIER"}
OF_VM = {"GMEMD_VM", "GMEMD_VM_NAME", "GMEMD_UUID"}
ASKER = {"GMEMD_BY_PID", "GMEMD_BY_UID"}


def check_entry(entry, **expected):
    """Its fields are those that the manual names, and some have these values."""
    number, fields = manual()[entry["GMEMD_ACT"]]
    equal(entry["MESSAGE_ID"], number, "MESSAGE_ID")
    equal(set(entry) - COMMON - OF_VM - ASKER, fields - OF_VM, "fields of " + entry["GMEMD_ACT"])
    for name, value in expected.items():
        equal(entry.get(name), str(value), "%s of %r" % (name, entry))


def counts(daemon):
    with contextlib.closing(daemon.operator()) as operator:
        return operator.call("metrics.get")


@test("a VM's life")
def _():
    with journal() as (daemon, entrance, _), contextlib.closing(daemon.peer()) as peer:
        reader = Reader(entrance)
        me = {"GMEMD_PID": os.getpid(), "GMEMD_UID": os.getuid(), "GMEMD_TENANT": "uid:%d" % os.getuid()}
        vm = peer.call("vm.open", {"name": "ev\u00e9", "uuid": UUID, "gate": "none"})["vm"]
        of_vm = dict(me, GMEMD_VM=vm, GMEMD_VM_NAME="ev\u00e9", GMEMD_UUID=UUID)
        check_entry(reader.next("vm_opened"), **of_vm)
        peer.call("memory.create", {"vm": vm, "size": PAGE})
        peer.call("vm.resume", {"vm": vm})
        check_entry(reader.next("vm_resumed"), **of_vm)
        peer.call("vm.close", {"vm": vm})
        entry = reader.next("vm_released")
        check_entry(entry, **of_vm)
        check("GMEMD_BY_PID" not in entry, entry)
        metrics = counts(daemon)
        for act in ("vm_opened", "vm_resumed", "vm_released"):
            equal(metrics["gmemd_%s_total" % act], 1, act)
        equal(metrics["gmemd_request_refused_total"], 0, "refused")
        equal(metrics["gmemd_vms"], 1, "VMs")


@test("an operator who closes a VM")
def _():
    with journal() as (daemon, entrance, _), contextlib.closing(daemon.peer()) as peer:
        reader = Reader(entrance)
        vm = peer.call("vm.open", {"name": "closed", "gate": "none"})["vm"]
        with Child(lambda channel: channel.serve(Peer(daemon.socket_path("admin.sock")).call)) as other:
            other.ask("vm.close", {"vm": vm})
            asked = {"GMEMD_BY_PID": other.pid, "GMEMD_BY_UID": os.getuid()}
            check_entry(reader.next("vm_released"), GMEMD_PID=os.getpid(), **asked)


@test("requests that are refused: not permitted, beyond a limit, beyond a budget")
def _():
    config = "[limits]\nmemories-per-vm = 1\n"
    with journal(config=config, gate="required") as (daemon, entrance, _), contextlib.closing(daemon.peer()) as peer:
        reader = Reader(entrance)

        def refused(method, params, reason):
            error = peer.error(method, params)
            entry = reader.next("request_refused")
            check_entry(entry, GMEMD_METHOD=method, GMEMD_REASON=reason, GMEMD_PID=os.getpid())
            check(error["message"] in entry["MESSAGE"], entry)
            return entry

        entry = refused("vm.open", {"name": "open", "gate": "none"}, "not_permitted")
        check("GMEMD_VM" not in entry, entry)
        refused("metrics.get", {}, "not_permitted")
        refused("vm.open", {"name": "huge", "commit_limit": 1 << 60}, "budget_exceeded")
        peer.error("vm.get", {"vm": "vm-0"})
        peer.error("vm.get", {"no": "such"})
        vm = peer.call("vm.open", {"name": "limited"})["vm"]
        reader.next("vm_opened")
        equal([entry["GMEMD_ACT"] for entry in reader.seen if "GMEMD_ACT" in entry],
              ["request_refused"] * 3 + ["vm_opened"], "acts")
        peer.call("memory.create", {"vm": vm, "size": PAGE, "backing": "memfd"})
        entry = refused("memory.create", {"vm": vm, "size": PAGE, "backing": "memfd"}, "limit")
        equal(entry["GMEMD_VM"], vm, "VM")


@test("a connection that is refused")
def _():
    with journal(config="[limits]\npeers-per-user = 2\n") as (daemon, entrance, _):
        reader = Reader(entrance)
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(contextlib.closing(daemon.peer()))
            entry = reader.next("connection_refused")
            check_entry(entry, GMEMD_LIMIT="peers-per-user", GMEMD_PID=os.getpid())


@test("what a user provokes is bounded, told and counted; others have theirs all the same")
def _():
    with journal(gate="required") as (daemon, entrance, _):
        reader = Reader(entrance)
        path = daemon.socket_path("gmemd.sock")
        with Child(lambda channel: channel.serve(Peer(path).error), uid=OTHERS) as other:
            for _ in range(100):
                other.ask("vm.open", {"name": "refused", "gate": "none"})
                reader.catch_up()
            with contextlib.closing(daemon.peer()) as peer:
                peer.error("vm.open", {"name": "refused", "gate": "none"})
            told = 0
            # On a busy machine they come so slowly that it is told of more than once.
            while told == 0 or told < counts(daemon)["gmemd_entries_left_out_total"]:
                entry = reader.next("entries_left_out")
                check_entry(entry, GMEMD_UID=OTHERS)
                told += int(entry["GMEMD_COUNT"])
        metrics = counts(daemon)
        left_out = metrics["gmemd_entries_left_out_total"]
        equal(told, left_out, "left out")
        equal(metrics["gmemd_request_refused_total"], 101, "refused")
        users = [seen["GMEMD_UID"] for seen in reader.seen if seen.get("GMEMD_ACT") == "request_refused"]
        equal(users.count(str(OTHERS)), 100 - left_out, "entries of who provokes them")
        equal(users.count(str(os.getuid())), 1, "entries of others")


@test("what a VMM has said again and again is bounded, and what was left out is counted")
def _():
    linux.require_guest_memfd()
    with journal(backend="kvm") as (daemon, _, _), contextlib.closing(daemon.peer()) as peer:
        vm = peer.call("vm.open", {"name": "waits", "gate": "none"})["vm"]
        for _ in range(500):
            call = peer.call("memory.create", {"vm": vm, "size": PAGE})["call"]
            told = {"vm": vm, "call": call["id"], "done": 0, "errno": "ENOMEM", "waited_ms": 1}
            peer.call("call.done", told)
        check(counts(daemon)["gmemd_entries_left_out_total"] > 0, "all 500 are in the log")


@test("a setting that is changed while gmemd serves")
def _():
    with journal(config="[limits]\nslots-per-vm = 9\n") as (daemon, entrance, _):
        reader = Reader(entrance)
        daemon.change_config("[limits]\nslots-per-vm = 10\n")
        os.kill(daemon.pid, signal.SIGHUP)
        entry = reader.next("limit_changed")
        check_entry(entry, GMEMD_SCOPE="limits", GMEMD_LIMIT="slots-per-vm", GMEMD_OLD="9", GMEMD_NEW="10")


@test("what was left out is told by a gmemd that ends")
def _():
    with journal(gate="required") as (daemon, entrance, _):
        reader = Reader(entrance)
        with contextlib.closing(daemon.peer()) as peer:
            for _ in range(50):
                peer.error("vm.open", {"name": "refused", "gate": "none"})
                reader.catch_up()
        os.kill(daemon.pid, signal.SIGTERM)
        check_entry(reader.next("entries_left_out"), GMEMD_UID=os.getuid())
        daemon.process.wait(SECONDS)
        daemon.start()


if __name__ == "__main__":
    tap.main(set_up, tear_down)
