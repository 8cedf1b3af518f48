# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two reports side by side: what has become better or worse by more than both scatter."""

from report.figures import higher_is_better
from report.table import number


def key_of(figure):
    return tuple(figure[name] for name in ("section", "work", "subject", "measure"))


def judge(old, new):
    """Where no round of one is among the other's."""
    if old["min"] <= new["max"] and new["min"] <= old["max"]:
        return "within the spread"
    grew = new["median"] > old["median"]
    return "better" if grew == higher_is_better(new["unit"]) else "worse"


def row(old, new):
    ratio = new["median"] / old["median"] if old["median"] else float("inf")
    place = ", ".join(key_of(new))
    return "%-72s %10s %10s %-8s %6.2f  %s" % (place, number(old["median"]), number(new["median"]), new["unit"], ratio, judge(old, new))


def verdicts(old, new):
    names = ("section", "work", "subject", "measure")
    before = {tuple(one[name] for name in names): one["reached"] for one in old["targets"]}
    for one in new["targets"]:
        place = tuple(one[name] for name in names)
        if place in before and before[place] != one["reached"]:
            yield "target now %s: %s" % ("reached" if one["reached"] else "missed", ", ".join(place))


def lines(old, new):
    """Both as JSON has them."""
    before = {key_of(one): one for one in old["figures"]}
    yield "compared with %s: then, now, and now as a part of then" % old["commit"]
    for name in ("kernel", "processor", "processors", "realtime"):
        if old["machine"][name] != new["machine"][name]:
            yield "another machine: %s was %s, is %s" % (name, old["machine"][name], new["machine"][name])
    for figure in new["figures"]:
        if key_of(figure) in before:
            yield row(before[key_of(figure)], figure)
    after = {key_of(one) for one in new["figures"]}
    for figure in new["figures"]:
        if key_of(figure) not in before:
            yield "only now: " + ", ".join(key_of(figure))
    for key in before:
        if key not in after:
            yield "only then: " + ", ".join(key)
    yield from verdicts(old, new)
