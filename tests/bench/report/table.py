# SPDX-License-Identifier: LGPL-2.1-or-later
"""A report as a table: a block for each work, a row for each subject, and what came of its targets."""


def number(value):
    if value == 0 or abs(value) >= 100:
        return "%d" % round(value)
    return "%.3g" % value


def cell(figure):
    low, high = min(figure.values), max(figure.values)
    if len(figure.values) == 1:
        return number(figure.median)
    return "%s (%s to %s)" % (number(figure.median), number(low), number(high))


def unique(values):
    return list(dict.fromkeys(values))


def verdict(report, section, work, subject):
    place = (section, work, subject)
    own = [one for one in report.targets if (one["section"], one["work"], one["subject"]) == place]
    missed = [one["measure"] for one in own if not one["reached"]]
    if not own:
        return ""
    return "missed: " + ", ".join(missed) if missed else "reached"


def block(report, section, work):
    """Its lines; columns are as wide as what is in them."""
    figures = [one for one in report.figures if (one.section, one.work) == (section, work)]
    measures = unique((one.measure, one.unit) for one in figures)
    rows = [[work] + ["%s, %s" % measure for measure in measures] + ["target"]]
    for subject in unique(one.subject for one in figures):
        cells = {(one.measure, one.unit): cell(one) for one in figures if one.subject == subject}
        rows.append(["  " + subject] + [cells.get(measure, "-") for measure in measures] + [verdict(report, section, work, subject)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(text.ljust(width) if i in (0, len(row) - 1) else text.rjust(width) for i, (text, width) in enumerate(zip(row, widths))).rstrip()


def target_lines(report):
    for one in report.targets:
        if not one["reached"]:
            place = "%s, %s, %s, %s" % (one["section"], one["work"], one["subject"], one["measure"])
            words = "at least" if one["at_least"] else "at most"
            yield "missed: %s: %s is %.4g, to be %s %.4g" % (place, one["what"], one["value"], words, one["limit"])
    reached = sum(one["reached"] for one in report.targets)
    yield "%d of %d targets are reached" % (reached, len(report.targets))


def lines(report):
    machine = report.machine
    how = "SCHED_FIFO" if machine["realtime"] else "beside other work"
    yield "gmemd beside its peers: medians of %d rounds, in turn, and from least to most" % report.options.rounds
    yield "%s, %d processors, Linux %s, load %.1f, %s" % (machine["processor"], machine["processors"], machine["kernel"], machine["load"], how)
    for section in unique(one.section for one in report.figures):
        for work in unique(one.work for one in report.figures if one.section == section):
            yield ""
            yield from block(report, section, work)
    yield ""
    for one in report.skipped:
        yield "skipped: %s, %s: %s" % (one["section"], one["what"], one["why"])
    yield from target_lines(report)
