# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a report has: figures, targets, and what was skipped; as JSON, by which two reports are compared."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time

VERSION = 1
PRIORITY = 10  # where it is realtime
FAILED = "it has failed"  # how the reason begins where something was not skipped on purpose
HIGHER_IS_BETTER = ("a second", "GiB/s")


class Figure:
    """One measure of one work by one subject: a value for each round."""

    def __init__(self, section, work, subject, measure, unit, values):
        self.section, self.work, self.subject = section, work, subject
        self.measure, self.unit = measure, unit
        self.values = list(values)

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def key(self):
        return " / ".join((self.section, self.work, self.subject, self.measure))

    def as_json(self):
        names = ("section", "work", "subject", "measure", "unit", "values")
        ends = {"median": self.median, "min": min(self.values), "max": max(self.values)}
        return dict({name: getattr(self, name) for name in names}, **ends)


def cpu_model():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit():
    folder = os.path.dirname(os.path.abspath(__file__))
    command = ["git", "-C", folder, "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


class Report:
    def __init__(self, options):
        self.options = options
        self.figures, self.targets, self.skipped = [], [], []
        self.machine = {
            "kernel": platform.release(),
            "processor": cpu_model(),
            "processors": os.cpu_count(),
            "load": os.getloadavg()[0],
            "realtime": options.fifo,
        }
        self.all_processors = os.sched_getaffinity(0)
        self.began = time.time()

    def pin(self):
        """This process and all that it starts, to one processor. The first serves most interrupts."""
        os.sched_setaffinity(0, {max(self.all_processors)})
        if self.options.fifo:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))

    def add(self, section, work, subject, measure, unit, values):
        figure = Figure(section, work, subject, measure, unit, values)
        self.figures.append(figure)
        return figure

    def find(self, section, work, subject, measure):
        key = " / ".join((section, work, subject, measure))
        return next((one for one in self.figures if one.key == key), None)

    def target(self, figure, value, limit, what, at_least=False):
        """Told in the figure's row. Reached where the value, of whatever what says, is at most the limit, or at least."""
        place = {"section": figure.section, "work": figure.work, "subject": figure.subject, "measure": figure.measure}
        reached = value >= limit if at_least else value <= limit
        self.targets.append(dict(place, what=what, value=value, limit=limit, at_least=at_least, reached=reached))

    def skip(self, section, what, why):
        self.skipped.append({"section": section, "what": what, "why": str(why)})
        say("%s: skipped: %s: %s" % (section, what, why))

    def as_json(self):
        return {
            "version": VERSION,
            "commit": commit(),
            "began": int(self.began),
            "seconds": round(time.time() - self.began, 1),
            "rounds": self.options.rounds,
            "machine": self.machine,
            "figures": [figure.as_json() for figure in self.figures],
            "targets": self.targets,
            "skipped": self.skipped,
        }


def say(text):
    """What is going on: not of the table."""
    print(text, file=sys.stderr, flush=True)


def write(report, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report.as_json(), file, indent=1)
        file.write("\n")


def read(path):
    """One that was written before. Raises ValueError, which says what is wrong."""
    try:
        with open(path, encoding="utf-8") as file:
            old = json.load(file)
    except (OSError, ValueError) as e:
        raise ValueError("%s can't be read as a report: %s" % (path, e)) from None
    if not isinstance(old, dict) or old.get("version") != VERSION:
        raise ValueError("%s is no report of version %d" % (path, VERSION))
    return old


def higher_is_better(unit):
    return unit in HIGHER_IS_BETTER
