#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/bench/run, with so little of each that its figures say nothing: it runs what this host can, says what it can't, and its
table and its JSON are whole.

SECTIONS in the environment: those alone.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from gmemtest.tap import check, equal, main, need, test

HERE = os.path.dirname(os.path.abspath(__file__))
SECTIONS = os.environ.get("SECTIONS", "control data scale fairness").split()
NEEDED = {"control": ("bare packets", "gmemd, ping", "libevent and json-c echo")}
scratch = tempfile.mkdtemp(prefix="gmemd-test-report-")
done = None


def run(*words):
    return subprocess.run([os.path.join(HERE, "run"), *words], capture_output=True, text=True, check=False, timeout=800)


def path(name):
    return os.path.join(scratch, name)


def report():
    need(done is not None and done.returncode == 0, "there is no report: %s" % (done and done.stderr))
    with open(path("report.json"), encoding="utf-8") as file:
        return json.load(file)


def set_up():
    global done
    done = run("--quick", "--json=" + path("report.json"), "--plots=" + path("plots"), *SECTIONS)


@test("each section has figures of all rounds, or says why it has none")
def _():
    told = report()
    check(told["figures"], "there is no figure")
    for figure in told["figures"]:
        name = "%(section)s, %(work)s, %(subject)s, %(measure)s" % figure
        equal(len(figure["values"]), told["rounds"], name)
        check(figure["min"] <= figure["median"] <= figure["max"], name)
        check(figure["unit"], name)
    for section in SECTIONS:
        subjects = {one["subject"] for one in told["figures"] if one["section"] == section}
        skipped = [one for one in told["skipped"] if one["section"] == section and one["why"]]
        check(subjects or skipped, "%s has neither figures nor a reason" % section)
        for subject in NEEDED.get(section, ()):
            check(subject in subjects, "%s has no %s" % (section, subject))


@test("what has no figures was skipped on purpose")
def _():
    for one in report()["skipped"]:
        check(not one["why"].startswith("it has failed"), "%(section)s, %(what)s: %(why)s" % one)


@test("a round trip's p50 is at most its p99, and neither is nothing")
def _():
    values = {}
    for figure in report()["figures"]:
        if figure["section"] == "control":
            values.setdefault((figure["work"], figure["subject"]), {})[figure["measure"]] = figure["median"]
    for where, one in values.items():
        check(0 < one["p50"] <= one["p99"] and one["requests"] > 0, "%s: %s" % (where, one))


@test("the table has a row for each subject, and says which targets are reached")
def _():
    told = report()
    lines = done.stdout.splitlines()
    for subject in {one["subject"] for one in told["figures"]}:
        check(any(line.startswith("  " + subject) for line in lines), "there is no row for %s" % subject)
    for one in told["skipped"]:
        check(any(one["what"] in line and line.startswith("skipped") for line in lines), "%s is skipped silently" % one["what"])
    reached = sum(one["reached"] for one in told["targets"])
    equal(sum(line.startswith("missed: ") for line in lines), len(told["targets"]) - reached, "lines of missed targets")
    equal(lines[-1], "%d of %d targets are reached" % (reached, len(told["targets"])), "the last line")


@test("a target is reached where the value is within it")
def _():
    for one in report()["targets"]:
        within = one["value"] >= one["limit"] if one["at_least"] else one["value"] <= one["limit"]
        equal(one["reached"], within, "%(subject)s, %(measure)s" % one)


@test("plots are drawn, or gnuplot is said to be missing")
def _():
    told = report()
    if not shutil.which("gnuplot"):
        check(any(one["section"] == "plots" for one in told["skipped"]), "nothing is said of plots")
        return
    for ending in ("svg", "png"):
        names = [name for name in os.listdir(path("plots")) if name.endswith(ending)]
        check(names, "there is no " + ending)
        check(all(os.path.getsize(path("plots/" + name)) > 1000 for name in names), "an empty " + ending)


def doctored(name, times):
    """The first section's report as it would be, had its figures been so many times as much, and the last of them not been measured."""
    told = report()
    told["figures"] = [one for one in told["figures"] if one["section"] == SECTIONS[0]]
    for figure in told["figures"]:
        for value in ("median", "min", "max"):
            figure[value] *= times
    told["figures"].pop()
    with open(path(name), "w", encoding="utf-8") as file:
        json.dump(told, file)
    return path(name)


@test("--compare says what has become better and worse, and what only one of both has")
def _():
    old = doctored("old.json", 1000)
    ended = run("--quick", "--compare=" + old, SECTIONS[0])
    equal(ended.returncode, 0, ended.stderr)
    lines = ended.stdout.splitlines()
    if SECTIONS[0] == "control":
        for measure, verdict in (("p50", "better"), ("requests", "worse")):
            place = "control, 1 client, gmemd, ping, %s " % measure
            own = [line for line in lines if line.startswith(place)]
            check(len(own) == 1 and own[0].endswith(verdict), "%s: %s" % (place, own))
    equal(sum(line.startswith("only now: ") for line in lines), 1, "what the old one lacks")


@test("what can't be done is refused before anything is measured")
def _():
    with open(path("other.json"), "w", encoding="utf-8") as file:
        file.write('{"version": 0}')
    for words, said in (
        (["nonsense"], 'there is no section "nonsense"'),
        (["--rounds=0"], "--rounds and --requests are at least 1"),
        (["--compare=" + path("none.json")], "none.json can't be read as a report"),
        (["--compare=" + path("other.json")], "other.json is no report of version"),
    ):
        ended = run(*words)
        equal(ended.returncode, 2, " ".join(words))
        check(said in ended.stderr, ended.stderr)


def tear_down():
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main(set_up, tear_down)
