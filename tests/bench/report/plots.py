# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plots of a report, each as SVG and PNG, by gnuplot."""

import os
import re
import shutil
import subprocess

from report.figures import say
from report.table import unique

TERMINALS = (("svg", "svg size 820,460 enhanced font 'sans,11' background 'white'"), ("png", "pngcairo size 1230,690 enhanced font 'sans,15'"))
COMMON = """set title '%s'
set ylabel '%s'
set logscale y
set grid ytics
set key outside bottom center horizontal
"""
BARS = """set style data histogram
set style histogram clustered gap 1
set style fill solid 0.8
set xtics rotate by -25
set rmargin 14
plot %s
"""


def quoted(text):
    return '"%s"' % text.replace("_", " ").replace('"', "'")


def data(rows, header):
    lines = [" ".join(quoted(name) for name in header)]
    for name, values in rows:
        lines.append(" ".join([name if name.isdigit() else quoted(name)] + ["%g" % value if value else "NaN" for value in values]))
    return "$data << EOD\n%s\nEOD\n" % "\n".join(lines)


def draw(folder, name, script):
    """script: from title to plot."""
    for ending, terminal in TERMINALS:
        path = os.path.join(folder, "%s.%s" % (name, ending))
        text = "set terminal %s\nset output '%s'\n%s" % (terminal, path, script)
        subprocess.run(["gnuplot"], input=text, text=True, check=True, capture_output=True, timeout=60)


def bars(folder, name, titles, rows, columns):
    plots = ["$data using %d%s title columnhead(%d)" % (i, ":xtic(1)" if i == 2 else "", i) for i in range(2, len(columns) + 2)]
    script = data(rows, ["subject"] + columns) + COMMON % titles + BARS % ", ".join(plots)
    draw(folder, name, script)


def curves(folder, name, titles, rows, columns, xlabel):
    plots = ["$data using (column(1)):%d with linespoints title columnhead(%d)" % (i, i) for i in range(2, len(columns) + 2)]
    script = data([(str(x), values) for x, values in rows], ["x"] + columns) + COMMON % titles
    draw(folder, name, script + "set logscale x\nset xlabel '%s'\nplot %s\n" % (xlabel, ", ".join(plots)))


def medians(report, section, measure):
    return {(one.work, one.subject): one.median for one in report.figures if (one.section, one.measure) == (section, measure)}


def bars_of(report, folder, section, measure, titles):
    """A group for each subject, a bar for each work."""
    values = medians(report, section, measure)
    works, subjects = unique(work for work, _ in values), unique(subject for _, subject in values)
    if values:
        rows = [(subject, [values.get((work, subject)) for work in works]) for subject in subjects]
        bars(folder, "%s-%s" % (section, measure), titles, rows, works)


def scale(report, folder, measure, titles):
    """Works are numbers of VMs; a curve for each subject."""
    values = medians(report, "scale", measure)
    sizes = [work for work in unique(work for work, _ in values) if work[0].isdigit()]
    subjects = unique(subject for _, subject in values)
    if len(sizes) > 1:
        rows = [(int(size.split()[0].replace(",", "")), [values.get((size, subject)) for subject in subjects]) for size in sizes]
        curves(folder, "scale-" + re.sub(r"[^a-z0-9]+", "-", measure.lower()), titles, rows, subjects, "VMs")


def write(report, folder):
    if not shutil.which("gnuplot"):
        report.skip("plots", "SVG and PNG", "gnuplot is not installed")
        return
    os.makedirs(folder, exist_ok=True)
    try:
        write_all(report, folder)
    except subprocess.CalledProcessError as e:
        report.skip("plots", "SVG and PNG", "gnuplot: " + " ".join(e.stderr.split()))


def write_all(report, folder):
    bars_of(report, folder, "control", "p50", ("Round trip, p50", "microseconds"))
    bars_of(report, folder, "control", "p99", ("Round trip, p99", "microseconds"))
    bars_of(report, folder, "control", "requests", ("Requests a second", "a second"))
    for measure, unit in (("memory for a VM", "KiB"), ("ping, p99", "microseconds"), ("vm.list", "milliseconds"), ("restart", "milliseconds")):
        scale(report, folder, measure, (measure, unit))
    say("plots are in " + folder)
