# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmarks beside this folder, run by a section: what each tells becomes figures of the report."""

import json
import os
import statistics
import subprocess
import sys
import tempfile

from gmemtest import linux

from report.figures import FAILED

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED = 77
SECONDS = 1800


def own(name):
    return os.path.join(os.environ["BUILD_DIR"], "tests", "bench", name)


def beside(name):
    """One in Python."""
    return [sys.executable, os.path.join(HERE, name)]


def gmemd():
    return os.path.join(os.environ["BUILD_DIR"], "daemon", "gmemd")


def last_line(text):
    return (text.strip().splitlines() or ["it says nothing"])[-1]


def reason(ended):
    """Why it has no figures; None where it has."""
    if ended.returncode == SKIPPED or "skipped: " in ended.stdout:
        return last_line(ended.stdout).partition("skipped: ")[2]
    if ended.returncode != 0:
        return FAILED + ": " + last_line(ended.stderr)
    return None


def unpin(processors):
    """And without realtime priority, which would be all of the host's."""
    os.sched_setaffinity(0, processors)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def start(report, words, path, processors, environment):
    own_environment = dict(os.environ, GMEMD_BENCH_JSON=path, GMEMD_BENCH_ROUNDS=str(report.options.rounds), PYTHONDONTWRITEBYTECODE="1")

    def before():
        linux.die_with_parent()
        if processors:
            unpin(processors)

    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=SECONDS, preexec_fn=before, env=dict(own_environment, **environment)
    )


def run(report, section, what, words, processors=None, **environment):
    """Its figures. processors: in place of the one that all else is on."""
    with tempfile.NamedTemporaryFile("r", prefix="gmemd-bench-") as file:
        try:
            why = reason(start(report, words, file.name, processors, environment))
        except subprocess.TimeoutExpired:
            why = FAILED + ": it does not end"
        told = [json.loads(line) for line in file]
    if why is not None:
        report.skip(section, what, why)
    return [report.add(section, **one) for one in told]


def ratio(figure, base):
    """Of the two in the same round each."""
    return statistics.median(a / b for a, b in zip(figure.values, base.values))


def target(report, section, work, subject, base, limit, at_least=False):
    """What the one has, as a part of what the other has, where both were measured."""
    ours, theirs = ([one for one in report.figures if (one.section, one.work, one.subject) == (section, work, name)] for name in (subject, base))
    if ours and theirs:
        report.target(ours[0], ratio(ours[0], theirs[0]), limit, "its part of that of %s" % base, at_least=at_least)
