#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The alert rules and the dashboard: their expressions are Prometheus', what they name is served, and each alert comes when it should."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from gmemtest import tap
from gmemtest.daemon import Daemon
from gmemtest.openmetrics import parse
from gmemtest.tap import Skip, check, equal, test

CTL = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
MONITORING = pathlib.Path(os.environ["SOURCE_DIR"], "units", "monitoring")
RULES, DASHBOARD = MONITORING / "gmemd.rules.yml", MONITORING / "gmemd-dashboard.json"
METRIC = re.compile(r"\bgmemd_\w+")
# What Grafana puts in the place of its variables.
VARIABLES = {"$instance": ".*", "$__rate_interval": "5m"}

# What each alert needs, minute by minute: Prometheus' own notation. Where it is for several series, these.
FIRES = {
    "GmemdDown": {"gmemd_up": "0x90"},
    "GmemdMetricsMissing": {"up": "1x90"},
    "GmemdRestarts": {"gmemd_uptime_seconds": "1000 0 60 0 60 0 60 0 60 0x90"},
    "GmemdKeeperGone": {"gmemd_up": "1x90", "gmemd_keeper_held": "0x90"},
    "GmemdConfigurationWrong": {"gmemd_reload_refused": "1x90"},
    "GmemdMemoryPressure": {"gmemd_pressure_level": "2x90", "gmemd_host_available_bytes": "1048576x90"},
    "GmemdMemoryCritical": {"gmemd_pressure_level": "3x90"},
    "GmemdVmsDontGive": {"gmemd_pressure_vms_overdue": "1x90"},
    "GmemdCommittedNearLimit": {"gmemd_uncommitted_bytes": "4x90", "gmemd_commit_limit_bytes": "100x90"},
    "GmemdNodeFull": {'gmemd_node_uncommitted_bytes{node="0"}': "1x90", 'gmemd_node_commit_limit_bytes{node="0"}': "100x90"},
    "GmemdRequestsRefused": {"gmemd_request_refused_total": "0+60x90"},
    "GmemdIoctlsRefused": {"gmemd_ioctl_refused_total": "0x80 1x10"},
    "GmemdGateLost": {"gmemd_gate_lost_total": "0x80 1x10"},
    "GmemdClosedMemoryHeld": {"gmemd_closed_resident_bytes": "2000000000x90"},
    "GmemdSlow": {
        'gmemd_request_duration_seconds_bucket{method="ping",le="0.25"}': "0x90",
        'gmemd_request_duration_seconds_bucket{method="ping",le="1.0"}': "0+60x90",
        'gmemd_request_duration_seconds_bucket{method="ping",le="+Inf"}': "0+60x90",
    },
}
# A host that is well.
WELL = {
    "up": "1x90",
    "gmemd_up": "1x90",
    "gmemd_uptime_seconds": "0+60x90",
    "gmemd_keeper_held": "1x90",
    "gmemd_reload_refused": "0x90",
    "gmemd_pressure_level": "1x90",
    "gmemd_pressure_vms_overdue": "0x90",
    "gmemd_uncommitted_bytes": "50x90",
    "gmemd_commit_limit_bytes": "100x90",
    'gmemd_node_uncommitted_bytes{node="0"}': "50x90",
    'gmemd_node_commit_limit_bytes{node="0"}': "100x90",
    "gmemd_request_refused_total": "0+1x90",
    "gmemd_ioctl_refused_total": "5x90",
    "gmemd_gate_lost_total": "1x90",
    "gmemd_closed_resident_bytes": "1000x90",
    'gmemd_request_duration_seconds_bucket{method="ping",le="0.25"}': "0+60x90",
    'gmemd_request_duration_seconds_bucket{method="ping",le="+Inf"}': "0+60x90",
    'gmemd_request_duration_seconds_bucket{method="memory.preallocate",le="0.25"}': "0x90",
    'gmemd_request_duration_seconds_bucket{method="memory.preallocate",le="10.0"}': "0+60x90",
    'gmemd_request_duration_seconds_bucket{method="memory.preallocate",le="+Inf"}': "0+60x90",
}


daemon = None


def set_up():
    global daemon
    daemon = Daemon(backend="model")


def tear_down():
    daemon.stop()


def promtool(*arguments, **files):
    """In a folder with these files, as JSON, which is YAML."""
    if not shutil.which("promtool"):
        raise Skip("there is no promtool, of Debian's package prometheus")
    with tempfile.TemporaryDirectory(prefix="gmemd-test-") as folder:
        for name, content in files.items():
            pathlib.Path(folder, name).write_text(json.dumps(content), encoding="utf-8")
        return subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def rules():
    """As promtool reads them, its names and expressions."""
    text = RULES.read_text(encoding="utf-8")
    return re.findall(r"- alert: (\w+)\n\s+expr: (?:>-\n((?:\s{10,}.*\n)+)|(.*)\n)", text)


def dashboard():
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def dashboard_expressions():
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@test("promtool takes the rules")
def check_rules():
    answer = promtool("check", "rules", str(RULES))
    equal(answer.returncode, 0, answer.stdout + answer.stderr)
    check("SUCCESS: %d rules found" % len(FIRES) in answer.stdout, answer.stdout)


@test("promtool takes the dashboard's expressions")
def check_dashboard():
    expressions = list(dashboard_expressions())
    for i, (title, expression) in enumerate(expressions):
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        check("$" not in expression, "%s: %s" % (title, expression))
        expressions[i] = expression
    recorded = [{"record": "panel:%d" % i, "expr": expression} for i, expression in enumerate(expressions)]
    answer = promtool("check", "rules", "panels", panels={"groups": [{"name": "dashboard", "rules": recorded}]})
    equal(answer.returncode, 0, answer.stdout + answer.stderr)
    wrong = promtool("check", "rules", "panels", panels={"groups": [{"name": "x", "rules": [{"record": "x", "expr": "sum("}]}]})
    check(wrong.returncode != 0, "and refuses one that is wrong")


@test("each metric that they name is served")
def served():
    peer = daemon.peer()
    peer.call("vm.open", {"name": "one", "gate": "none"})
    printed = subprocess.run([CTL, "--socket=" + daemon.socket_path("admin.sock"), "metrics", "--vms"], capture_output=True, text=True, timeout=60, check=True)
    names = {sample.name for family in parse(printed.stdout).values() for sample in family.samples}
    named = set()
    for what, expression in [*dashboard_expressions(), *((name, a or b) for name, a, b in rules())]:
        of_this = set(METRIC.findall(expression))
        check(of_this, "%s names a metric" % what)
        equal(sorted(of_this - names), [], what)
        named |= of_this
    for name in METRIC.findall(RULES.read_text(encoding="utf-8")):
        check(name in names or name == "gmemd_", name)
    check("gmemd_up" in named, named)
    peer.close()


@test("each alert comes when it should, and none where a host is well")
def alerts():
    equal(sorted(name for name, _, _ in rules()), sorted(FIRES), "alerts")

    def series(told):
        labels = 'instance="host",job="gmemd"'
        return [
            {"series": name.replace("{", "{%s," % labels) if "{" in name else "%s{%s}" % (name, labels), "values": values}
            for name, values in told.items()
        ]

    def expected(name, fires):
        # Which alerts there are; their words are not compared.
        labels = ' by (alertname) (ALERTS{alertname="%s",alertstate="firing"})' % name
        samples = [{"labels": '{alertname="%s"}' % name, "value": 1}] if fires else []
        return {"expr": "count" + labels, "eval_time": "85m" if name != "GmemdRestarts" else "9m", "exp_samples": samples}

    def tests(name, fires):
        told = FIRES[name] if fires else WELL
        return {"interval": "1m", "input_series": series(told), "promql_expr_test": [expected(name, fires)]}

    for name in FIRES:
        for fires in (True, False):
            plan = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [tests(name, fires)]}
            answer = promtool("test", "rules", "plan", plan=plan)
            equal(answer.returncode, 0, "%s, %s: %s" % (name, "fires" if fires else "well", answer.stdout + answer.stderr))


@test("each alert says what has happened and what to do")
def words():
    text = RULES.read_text(encoding="utf-8")
    for part in text.split("- alert: ")[1:]:
        name = part.split("\n")[0]
        for word in ("severity: ", "summary: ", "action: ", "$labels.instance"):
            check(word in part, "%s has %s" % (name, word))


@test("the dashboard is whole")
def whole():
    told = dashboard()
    ids = [panel["id"] for panel in told["panels"]]
    equal(len(set(ids)), len(ids), "ids of panels")
    places = [tuple(panel["gridPos"].values()) for panel in told["panels"]]
    equal(len(set(places)), len(places), "their places")
    variables = {variable["name"] for variable in told["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(told["panels"]))) - {"__rate_interval"}
    equal(sorted(used), sorted(variables), "variables that are used, and that there are")


tap.main(set_up, tear_down)
