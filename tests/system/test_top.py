#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemctl top on terminals of several sizes, with no VM, one, some and many: list, order, filter, help, and a VM as a map."""

import contextlib
import json
import os

from gmemtest import tap, terminal
from gmemtest.daemon import Daemon
from gmemtest.served import Served
from gmemtest.tap import check, equal, test
from gmemtest.terminal import Terminal

CTL = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
SIZES = ((40, 10), (80, 24), (200, 50))
COUNTS = (0, 1, 30, 1000)
PAGE_OF_VMS = 100
MIB = 1 << 20
GIB = 1 << 30
UP, DOWN, END, HOME, PAGE_DOWN, ESCAPE, ENTER = "\x1b[A", "\x1b[B", "\x1b[F", "\x1b[H", "\x1b[6~", "\x1b", "\r"

daemon = None


def vm(number):
    name = "vm-名前-%04d" % number if number % 7 == 0 else "machine-%04d" % number
    return {
        "vm": "vm-%d" % number,
        "name": name,
        "uuid": "%08x-0000-4000-8000-000000000000" % number,
        "tenant": "tenant-%d" % (number % 3),
        "unit": None,
        "pid": 1000 + number,
        "state": "opening" if number % 5 == 0 else "running",
        "gate": "active",
        "committed": number * MIB,
        "promised": 0,
        "resident": (number * 7919 % 1009) * MIB,
        "closed_resident": 0,
        "private": 0,
        "opened": 1700000000000000 + number * 1000000,
    }


def slot(number, address, size, memory=1, offset=0, **more):
    told = {"slot": number, "guest_phys_addr": address, "memory_size": size, "userspace_addr": 0, "memory": memory}
    return {**told, "guest_memfd_offset": offset, "flags": [], "through": "guest_memfd", "state": "bound", **more}


# 16 GiB of guest addresses: what each GiB is.
MAP = "##--PpLM?o......"


def mapped(number):
    """A VM whose guest's addresses are as MAP says."""
    slots = []
    for place, sign in enumerate(MAP):
        more = {"L": {"flags": ["log_dirty_pages"]}, "M": {"through": "mapping"}, "?": {"state": "pending"}, "o": {"memory": None}}
        if sign != ".":
            slots.append(slot(place, place * GIB, GIB, **{"offset": place * GIB, **more.get(sign, {})}))
    slots.append(slot(99, 15 * GIB, 4096, offset=15 * GIB))  # so that it is 16 GiB, with a dash at its end's line
    ranges = [{"guest_phys_addr": place * GIB, "size": GIB} for place, sign in enumerate(MAP) if sign in "pP"]
    memory = {"memory": 1, "name": "ram", "size": 16 * GIB, "resident": 3 * GIB, "state": "ready", "backing": "guest_memfd", "flags": []}
    return {**vm(number), "memories": [memory], "slots": slots, "private_ranges": ranges, "calls": []}


def residency():
    return {"part_size": GIB, "parts": [GIB if sign in "#P" else 0 for sign in MAP]}


class Many(Served):
    """As gmemd answers that has so many VMs."""

    def __init__(self, count):
        self.count = count
        super().__init__()

    def result(self, method, params):
        if method == "vm.list":
            first = int(params.get("cursor", 1))
            last = min(first + PAGE_OF_VMS - 1, self.count)
            more = {"cursor": str(last + 1)} if last < self.count else {}
            return {"vms": [vm(number) for number in range(first, last + 1)], **more}
        return residency() if method == "memory.residency" else mapped(int(params["vm"].removeprefix("vm-")))

    def serve(self, peer):
        while packet := peer.recv(65536):
            request = json.loads(packet)
            answer = {"jsonrpc": "2.0", "id": request["id"], "result": self.result(request["method"], request.get("params", {}))}
            peer.send(json.dumps(answer).encode())


def set_up():
    global daemon
    terminal.require()
    daemon = Daemon(backend="model")


def tear_down():
    daemon.stop()


@contextlib.contextmanager
def top(count, columns, rows, *options, **environment):
    """With so many VMs; it ends by q."""
    many = Many(count)
    shown = Terminal([CTL, "--socket=" + many.path, "top", "--interval=600", *options], columns, rows, **environment)
    shown.until(lambda lines: "VM" in lines[0], "the first view")
    try:
        yield shown
        shown.press("q")
        equal(shown.ended(), 0, "how it ends")
        check(shown.raw.endswith(b"\x1b[?25h\x1b[?1049l"), "the terminal is as it was: %r" % shown.raw[-40:])
    finally:
        shown.kill()
        many.stop()


def rows_of(lines):
    """The VMs that are shown."""
    return [line for line in lines[2:-1] if line]


def selected(lines):
    return [line for line in lines if line.startswith("> ")]


@test("the list is right at each size, with however many VMs")
def sizes():
    for columns, rows in SIZES:
        for count in COUNTS:
            what = "%dx%d, %d VMs" % (columns, rows, count)
            with top(count, columns, rows) as shown:
                lines = shown.until(lambda lines: "h help" in lines[-1], what)
                check(lines[0].startswith("%d VM%s, committed" % (count, "" if count == 1 else "s")[:columns]), "%s: %r" % (what, lines[0]))
                title = lines[1].split()
                check(title[0] == "NAME" and {"COMMITTED", "RESIDENT"} <= set(title), "%s: %r" % (what, lines[1]))
                if columns >= 200:
                    equal(title, ["NAME", "TENANT", "PID", "STATE", "AGE", "COMMITTED", "RESIDENT", "PRIVATE", "RATE/S", "UNIT"], what)
                room = rows - 3
                equal(len(rows_of(lines)), min(count, room) if count else 1, what + ": lines")
                equal(len(selected(lines)), min(count, 1), what + ": selected")
                if count > room:
                    check("1-%d of %d" % (room, count) in lines[-1] or columns == 40, "%s: %r" % (what, lines[-1]))
                ends = {len(line) for line in rows_of(lines)} if count else set()
                check(len(ends) <= 3, "%s: lines end at %r" % (what, ends))
                check(all(len(line) <= columns for line in lines), what + ": nothing is too wide")


@test("scrolling goes to the last and back, and the selected one is always there")
def scrolling():
    for columns, rows in SIZES:
        with top(1000, columns, rows, "--sort=name") as shown:
            shown.press(END)
            lines = shown.until(lambda lines: selected(lines) and lines.index(selected(lines)[0]) == rows - 2, "the last line is selected")
            check("vm-名前-0994" in selected(lines)[0].replace(" ", "") or "vm-" in selected(lines)[0], selected(lines))
            shown.press(UP)
            shown.until(lambda lines: lines.index(selected(lines)[0]) == rows - 3, "the one before")
            shown.press(HOME)
            first = shown.until(lambda lines: "machine-0001" in selected(lines)[0], "the first")
            equal(first.index(selected(first)[0]), 2, "its line")
            for _ in range(3):
                shown.press(DOWN)
            shown.until(lambda lines: lines.index(selected(lines)[0]) == 5, "three further")
            shown.press(PAGE_DOWN)
            shown.until(lambda lines: lines.index(selected(lines)[0]) == rows - 2, "a page further")


@test("keys change the order, and the other way round; the selected VM stays selected")
def order():
    with top(30, 80, 24) as shown:
        shown.press("n" + HOME)
        lines = shown.until(lambda lines: "by name" in lines[0] and selected(lines)[0] == lines[2], "by name")
        check("machine-0001" in lines[2], lines[2])
        shown.press("R")
        lines = shown.until(lambda lines: "reversed" in lines[0], "reversed")
        check("machine-0001" in selected(lines)[0], "the same is selected: %r" % selected(lines))
        shown.press("R")
        shown.press("a")
        shown.press(HOME)
        lines = shown.until(lambda lines: "by age" in lines[0] and "machine-0001" in lines[2], "the oldest")
        shown.press("r")
        largest = max(range(1, 31), key=lambda number: vm(number)["resident"])
        shown.press(HOME)
        shown.until(lambda lines: "%04d" % largest in lines[2], "the one with most resident")
        shown.press("t")
        shown.until(lambda lines: "by tenant" in lines[0], "by tenant")


@test("a filter shows the VMs that fit, by any of what they are called")
def filters():
    for columns, rows in SIZES:
        with top(1000, columns, rows) as shown:
            shown.press("/")
            shown.until(lambda lines: lines[-1] == "/_", "it is asked for")
            shown.press("MACHINE-099")
            lines = shown.until(lambda lines: lines[-1] == "/MACHINE-099_" and len(rows_of(lines)) <= 10, "as it is typed")
            check(all("machine-099" in line for line in rows_of(lines)), lines)
            shown.press("\x7f99" + ENTER)
            shown.until(lambda lines: len(rows_of(lines)) == 1 and "machine-0999" in lines[2], "another")
            shown.press(ESCAPE)
            shown.until(lambda lines: len(rows_of(lines)) == rows - 3, "all again")
            shown.press("/nobody" + ENTER)
            shown.until(lambda lines: "none fits" in lines[2], "none")
            shown.press(DOWN + ENTER + ESCAPE)
            shown.until(lambda lines: len(rows_of(lines)) == rows - 3, "all again")
            shown.press("/é\x7f*0500" + ENTER)
            shown.until(lambda lines: len(rows_of(lines)) == 1 and "0500" in lines[2], "a pattern")


@test("the help has each key, and fits the smallest terminal")
def help_key():
    for columns, rows in SIZES:
        with top(30, columns, rows) as shown:
            shown.press("h")
            lines = shown.until(lambda lines: lines[0] == "gmemctl top: keys", "the help")
            text = " ".join(lines)
            for word in ("Enter: the VM as a map", "q: quit", "R: the other way", "/: VMs that fit", "age,", "+ -: closer"):
                check(word in text, "%s at %dx%d" % (word, columns, rows))
            shown.press(" ")
            shown.until(lambda lines: "VMs, committed" in lines[0], "the list again")


def cells(lines):
    """The map's, without its addresses."""
    return "".join(line[13:] for line in lines if len(line) > 13 and all(c in "0123456789abcdef" for c in line[:12]))


@test("a VM is a map of its guest's addresses, at each size")
def maps():
    for columns, rows in SIZES:
        with top(30, columns, rows, "--sort=name") as shown:
            shown.press(ENTER)
            lines = shown.until(lambda lines: "(vm-1)" in lines[0], "the map")
            check("Esc back" in lines[-1], lines[-1])
            drawn = cells(lines)
            order_of = [sign for i, sign in enumerate(drawn) if i == 0 or drawn[i - 1] != sign]
            equal("".join(order_of).rstrip("."), "#-PpLM?o.-", "%dx%d: %r" % (columns, rows, drawn))
            per_gib = drawn.count("L")
            check(per_gib >= 1 and drawn.startswith("#" * 2 * per_gib + "-" * 2 * per_gib + "P"), drawn)
            equal(any("dirty-logged" in line for line in lines), columns >= 60, "the legend")
            shown.press("++")
            closer = shown.until(lambda lines: cells(lines) and set(cells(lines)) <= set("#-") or cells(lines).count("#") > drawn.count("#"), "closer")
            check(closer[1].startswith("000000000000 #"), closer[1])
            shown.press(END)
            shown.until(lambda lines: cells(lines) and not lines[1].startswith("000000000000 "), "further")
            shown.press(ESCAPE)
            shown.until(lambda lines: "VMs, committed" in lines[0], "the list again")


@test("a terminal that changes its size shows all of it anew")
def resized():
    with top(1000, 80, 24) as shown:
        for columns, rows in ((40, 10), (200, 50), (20, 5), (80, 24)):
            shown.resize(columns, rows)
            lines = shown.until(lambda lines: "NAME" in lines[1] and lines[-1].startswith("h help"), "%dx%d" % (columns, rows))
            equal(len(rows_of(lines)), rows - 3, "%dx%d" % (columns, rows))
        for columns, rows in ((5, 2), (1, 1), (80, 24)):
            shown.resize(columns, rows)
        shown.until(lambda lines: len(rows_of(lines)) == 21, "it lives")


@test("colours are there, and not with NO_COLOR")
def colours():
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        with top(30, 80, 24, **environment) as shown:
            shown.press(ENTER)
            shown.until(lambda lines: "Esc back" in lines[-1], "the map")
            shown.press(ESCAPE)
            shown.until(lambda lines: "VMs, committed" in lines[0], "the list again")
        styles = [raw for raw in shown.raw.split(b"\x1b[") if raw.split(b"m")[0].isdigit()]
        equal(bool(styles), coloured, "%r: %r" % (environment, styles[:3]))


@test("what gmemd has is shown: a VM whose memory is allocated in part, and its end")
def real():
    peer, operator = daemon.peer(), daemon.operator()
    opened = peer.call("vm.open", {"name": "real", "gate": "none"})["vm"]
    memory = peer.call("memory.create", {"vm": opened, "size": 16 * MIB})["memory"]
    peer.call("slot.bind", {
        "vm": opened, "slot": 0, "guest_phys_addr": 0, "memory_size": 16 * MIB, "userspace_addr": 1 << 30, "memory": memory,
        "guest_memfd_offset": 0, "guest_memfd": 0,
    })
    operator.call("memory.preallocate", {"memory": memory, "offset": 0, "size": 4 * MIB})
    told = operator.call("memory.residency", {"memory": memory, "parts": 8})
    equal(told, {"part_size": 2 * MIB, "parts": [2 * MIB] * 2 + [0] * 6}, "memory.residency")
    equal(operator.call("memory.residency", {"memory": memory, "parts": 3})["parts"], [4 * MIB, 0, 0], "of parts that don't come out even")
    equal(len(operator.call("memory.residency", {"memory": memory})["parts"]), 256, "how many there are by default")
    equal(operator.error("memory.residency", {"memory": memory, "parts": 1025})["code"], -32602, "too many")
    equal(operator.error("memory.residency", {"memory": 10**9})["code"], -32001, "a memory that there is not")
    shown = Terminal([CTL, "--socket=" + daemon.socket_path("admin.sock"), "top", "--interval=1"], 80, 24)
    shown.until(lambda lines: "real" in lines[2], "the VM")
    shown.press(ENTER)
    lines = shown.until(lambda lines: "real (" in lines[0], "its map")
    drawn = cells(lines).rstrip(".")
    equal((drawn.count("#") * 3, set(drawn)), (drawn.count("-"), {"#", "-"}), drawn)
    operator.call("vm.close", {"vm": opened})
    shown.until(lambda lines: "committed" in lines[0] and "(" not in lines[0] or "nothing is bound" in lines[1], "it is gone")
    shown.press("q")
    equal(shown.ended(), 0, "how it ends")
    peer.close()
    operator.close()


tap.main(set_up, tear_down)
