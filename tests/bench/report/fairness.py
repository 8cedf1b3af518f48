# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a quiet peer notices of others, and how soon a killed VM's memory is back beside them: the benchmarks shares and stall."""

from report import benchmark
from report.figures import say

NAME = "fairness"
QUIET = "a quiet peer's pings"
BESIDE, COUNTING = "beside 2,040 connections", "beside 300 connections that count"
RELEASE = "release of a killed VM of 2 GiB"


def set_targets(report):
    p99 = report.find(NAME, QUIET, BESIDE, "p99")
    if p99:
        report.target(p99, p99.median, 1000, "microseconds")
    benchmark.target(report, NAME, RELEASE, COUNTING, "alone", 1.2)
    listed = report.find(NAME, "an operator's vm.list", COUNTING, "p99")
    if listed:
        report.target(listed, listed.median, 20, "milliseconds")


def run(report):
    say("fairness: a quiet peer beside a hostile user, and beside bulk")
    seconds, gib = ("0.5", "2") if report.options.quick else ("5", "4")
    for name in ("shares", "stall"):
        words = benchmark.beside("bench_%s.py" % name) + [benchmark.gmemd()]
        benchmark.run(report, NAME, name, words, report.all_processors, SECONDS=seconds, MOST_GIB=gib)
    set_targets(report)
