# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenMetrics 1.0 text, read as strictly as its specification has it: order, escapes, suffixes, its end."""

import re

from gmemtest.tap import Failed

SUFFIXES = {"gauge": [""], "counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(r"(%s)(?:\{(.*)\})? (\S+)$" % NAME)
LABEL = re.compile(r'(%s)="((?:[^"\\\n]|\\[\\n"])*)"(,|$)' % NAME)


class Sample:
    def __init__(self, name, labels, value):
        self.name, self.labels, self.value = name, labels, value


class Family:
    def __init__(self, name):
        self.name, self.kind, self.unit, self.help, self.samples = name, None, None, None, []

    def value(self):
        """Of the only one."""
        [sample] = self.samples
        return sample.value

    def values_of_names(self):
        return {sample.name for sample in self.samples}


def _unescape(text):
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), text)


def _labels(text):
    labels, at = {}, 0
    while text and at < len(text):
        match = LABEL.match(text, at)
        if not match or match[1] in labels:
            raise Failed("labels %r" % text)
        labels[match[1]] = _unescape(match[2])
        at = match.end()
    return labels


def _describe(family, words):
    member = {"TYPE": "kind", "UNIT": "unit", "HELP": "help"}.get(words[1])
    if not member or getattr(family, member) is not None or family.samples:
        raise Failed("%r" % words)
    setattr(family, member, _unescape(words[3]))


def _sample(family, line):
    match = SAMPLE.match(line)
    if not match or family is None or not family.kind:
        raise Failed("%r belongs to no family" % line)
    if match[1] not in [family.name + suffix for suffix in SUFFIXES[family.kind]]:
        raise Failed("%r is not of the %s %s" % (line, family.kind, family.name))
    return Sample(match[1], _labels(match[2]), float(match[3]))


def parse(text):
    """The families by their names. Raises Failed where the text is not right."""
    lines = text.split("\n")
    if lines[-2:] != ["# EOF", ""]:
        raise Failed("it ends with %r" % lines[-2:])
    families, family, seen = {}, None, set()
    for line in lines[:-2]:
        words = line.split(" ", 3)
        if words[0] == "#":
            if family is None or family.name != words[2]:
                if words[2] in families:
                    raise Failed("family %s comes twice" % words[2])
                family = families[words[2]] = Family(words[2])
            _describe(family, words)
            continue
        sample = _sample(family, line)
        key = (sample.name, tuple(sorted(sample.labels.items())))
        if key in seen:
            raise Failed("%r comes twice" % line)
        seen.add(key)
        family.samples.append(sample)
    for family in families.values():
        if family.unit and not family.name.endswith("_" + family.unit):
            raise Failed("%s is not in %s" % (family.name, family.unit))
        for word in ("bytes", "seconds"):
            if family.name.endswith("_" + word) and family.unit != word:
                raise Failed("%s does not say its unit" % family.name)
    _parse_with_library(text, families)
    return families


def _parse_with_library(text, families):
    """The same by Prometheus' own, where that is."""
    try:
        from prometheus_client.openmetrics import parser  # pylint: disable=import-outside-toplevel
    except ImportError:
        return
    theirs = {family.name: family for family in parser.text_string_to_metric_families(text)}
    if set(theirs) != set(families):
        raise Failed("Prometheus' parser reads %r" % (set(theirs) ^ set(families)))
