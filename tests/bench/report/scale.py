# SPDX-License-Identifier: LGPL-2.1-or-later
"""What gmemd takes with ever more VMs, each of two memories and 8 or 64 slots: memory is to grow with their number, and no answer later.

What is not for each VM is measured as often as there are rounds; a crowd is made once.
"""

import contextlib
import json
import math
import os
import resource
import signal
import statistics
import subprocess
import time

from gmemtest import linux
from gmemtest.daemon import Daemon
from gmemtest.tap import Skip
from gmemtest.wire import Closed, encode, request

from report import control
from report.figures import say

NAME = "scale"
SIZES, QUICK_SIZES, LONG_SIZES = (1, 10, 100, 1000, 4000), (1, 4), (100, 1000, 10000)
SLOTS = (8, 64)
MODEL = ", on the model"
KIB = 1 << 10
# Of KVM's: ledger, mailbox, report page, gate, process, two memories; a connection and its process.
FILES_OF_VM, FILES_BESIDE = 9, 300
MEMORY_SIZE = 1 << 20
SECONDS_TO_MAKE = 1200
KEPT = ("/memfd:gmemd-vm ", "/memfd:gmemd-mailbox", "/memfd:gmemd-report", "/memfd:gmemd-frames ", "/memfd:gmemd-peer")
FITTED = (("memory", 1.1), ("ping, p50", None), ("ping, p99", 0.1), ("vm.list", 1.1), ("event, p99", 0.1), ("restart", None))
RESTARTS = (1000, 4000, 4.5)  # of so many VMs, of so many, and at most so many times as long
CONFIG = """[limits]
host-reserve = 0
vms-per-user = %d
peers-per-user = %d
memories-per-user = %d
[pressure]
floor = 0
"""


def work_of(size):
    return "%s VM%s" % (format(size, ","), "" if size == 1 else "s")


class Crowd:
    def __init__(self, daemon, size, slots, model):
        program = os.path.join(os.environ["BUILD_DIR"], "tests", "bench", "report", "make_crowd")
        words = [program, daemon.socket_path("gmemd.sock"), str(size), str(slots), "no-gate" if model else "gate"]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=linux.die_with_parent
        )
        line = self.process.stdout.readline()
        if not line:
            raise Skip("it can't be made: " + (self.process.communicate()[1].strip().splitlines() or [""])[-1])
        made = json.loads(line)
        self.seconds, self.last = made["seconds"], made["last"]

    def end(self):
        self.process.communicate(timeout=SECONDS_TO_MAKE)


def anonymous(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss_Anon:")) * KIB


def kept_files(pid):
    """Bytes of the files that are kept for VMs, which no process's private memory counts. The keeper has each once."""
    total = 0
    for name in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(OSError):
            path = "/proc/%d/fd/%s" % (pid, name)
            if os.readlink(path).startswith(KEPT):
                total += os.stat(path).st_blocks * 512
    return total


def memory(daemon):
    keepers = daemon.keepers()
    return anonymous(daemon.pid) + sum(anonymous(pid) + kept_files(pid) for pid in keepers)


def run_time(pid):
    """Seconds on a processor of all its threads."""
    total = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, thread), encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def ping(report, daemon):
    subject = control.Subject("ping", "packet", daemon.socket_path("gmemd.sock"), encode(request("ping")).decode())
    return control.clients(subject, 1, report.options.requests)


class Teller:
    """A VM that was opened after all others, and an operator who is told of it."""

    def __init__(self, daemon):
        self.vmm, self.subscriber = daemon.peer(), daemon.operator()
        self.vm = self.vmm.call("vm.open", {"name": "teller", "gate": "none"})["vm"]
        self.subscriber.call("event.subscribe")

    def _tell(self):
        """Microseconds from what is asked for to what is told of it."""
        began = time.monotonic()
        memory = self.vmm.call("memory.create", {"vm": self.vm, "size": MEMORY_SIZE, "backing": "memfd"})["memory"]
        self._await("memory_ready")
        taken = (time.monotonic() - began) * 1e6
        self.vmm.call("memory.close", {"memory": memory})
        self._await("memory_closed")
        return taken

    def _await(self, kind):
        told = {}
        while told.get("kind") != kind or told.get("vm") != self.vm:
            told = self.subscriber.receive()[0].get("params", {})

    def tell(self, times):
        return statistics.quantiles((self._tell() for _ in range(times)), n=100, method="inclusive")

    def end(self):
        self.vmm.call("vm.close", {"vm": self.vm})
        self.vmm.close()
        self.subscriber.close()


def events(report, daemon):
    """Its percentiles, of each round."""
    teller = Teller(daemon)
    told = [teller.tell(max(report.options.requests // 10, 10)) for _ in range(report.options.rounds)]
    teller.end()
    return told


def list_all(daemon):
    """Milliseconds of all of its pages."""
    operator = daemon.operator()
    began, params = time.monotonic(), {}
    while True:
        page = operator.call("vm.list", params)
        if "cursor" not in page:
            break
        params = {"cursor": page["cursor"]}
    operator.close()
    return (time.monotonic() - began) * 1e3


def idle(daemon, seconds):
    """Percent of a processor."""
    ran = run_time(daemon.pid)
    time.sleep(seconds)
    return (run_time(daemon.pid) - ran) / seconds * 100


def restart(daemon, crowd):
    """Milliseconds from SIGKILL to what the next one says of the last VM."""
    began = time.monotonic()
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.process.wait()
    daemon.spawn()
    while time.monotonic() < began + SECONDS_TO_MAKE:
        with contextlib.suppress(OSError, Closed):
            operator = daemon.operator()
            operator.call("vm.get", {"vm": crowd.last})
            operator.close()
            break
        time.sleep(0.0005)
    taken = (time.monotonic() - began) * 1e3
    time.sleep(0.1)
    return taken


def figures_of(report, daemon, crowd, size, before, model):
    """(measure, unit, values) of each. The model's VMs don't outlive gmemd."""
    rounds = range(report.options.rounds)
    yield "opened", "a second", [size / crowd.seconds]
    yield "memory", "KiB", [(memory(daemon) - before) / KIB]
    pings = [ping(report, daemon) for _ in rounds]
    for part in ("p50", "p99"):
        yield "ping, " + part, "us", [one[part] for one in pings]
    yield "vm.list", "ms", [list_all(daemon) for _ in rounds]
    told = events(report, daemon)
    for part in (50, 99):
        yield "event, p%d" % part, "us", [one[part - 1] for one in told]
    yield "idle", "% of a processor", [idle(daemon, 0.1 if report.options.quick else 1) for _ in rounds]
    if not model:
        yield "restart", "ms", [restart(daemon, crowd) for _ in rounds]


def measure(report, size, slots, model):
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = FILES_OF_VM * size + FILES_BESIDE
    if not model and files < needed:
        raise Skip("gmemd needs %s files for them, and RLIMIT_NOFILE is %s" % (format(needed, ","), format(files, ",")))
    config = CONFIG % (size + 10, size + 200, 4 * size + 200)
    with contextlib.ExitStack() as stack:
        daemon = Daemon(config=config, backend="model" if model else "kvm", files=files, keep_closed=False)
        stack.callback(daemon.stop)
        before = memory(daemon)
        crowd = Crowd(daemon, size, slots, model)
        stack.callback(crowd.end)
        for name, unit, values in figures_of(report, daemon, crowd, size, before, model):
            subject = "%d slots%s" % (slots, MODEL if model else "")
            report.add(NAME, work_of(size), subject, name, unit, values)
            if name == "memory":
                report.add(NAME, work_of(size), subject, "memory for a VM", unit, [value / size for value in values])


def exponent(points):
    """Of the power of x that y grows by: the slope of a line through the logarithms."""
    logs = [(math.log(x), math.log(max(y, 1e-9))) for x, y in points]
    x0, y0 = (sum(values) / len(logs) for values in zip(*logs))
    return sum((x - x0) * (y - y0) for x, y in logs) / sum((x - x0) ** 2 for x, _ in logs)


def fit(report, subject, sizes):
    for name, limit in FITTED:
        found = [(size, report.find(NAME, work_of(size), subject, name)) for size in sizes]
        points = [(size, figure.median) for size, figure in found if figure]
        if len(points) > 1:
            figure = report.add(NAME, "exponent of the number of VMs", subject, name, "power", [exponent(points)])
            if limit is not None:
                report.target(figure, figure.median, limit, "the exponent")


def fit_restart(report, subject):
    few, many, limit = RESTARTS
    short, long = (report.find(NAME, work_of(size), subject, "restart") for size in (few, many))
    if short and long:
        report.target(long, long.median / short.median, limit, "restart, as many times as with %s" % work_of(few))


def measure_sizes(report, sizes, slots, model):
    for size in sizes:
        say("scale: %s of %d slots%s" % (work_of(size), slots, MODEL if model else ""))
        try:
            measure(report, size, slots, model)
        except Skip as reason:
            report.skip(NAME, "%s of %d slots" % (work_of(size), slots), reason)
    if model:
        report.skip(NAME, "restart of %d slots%s" % (slots, MODEL), "the model's VMs don't outlive gmemd")
    fit(report, "%d slots%s" % (slots, MODEL if model else ""), sizes)
    fit_restart(report, "%d slots%s" % (slots, MODEL if model else ""))


def run(report):
    sizes = QUICK_SIZES if report.options.quick else SIZES
    model = control.backend(report, NAME) == "model"
    for slots in SLOTS:
        measure_sizes(report, sizes, slots, model)
    if report.options.long:
        measure_sizes(report, LONG_SIZES, SLOTS[0], True)
    else:
        report.skip(NAME, "10,000 VMs on the model", "only with --long")
