#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemctl metrics is OpenMetrics text, of all that gmemd counts; requests are counted by method and time; NUMA nodes."""

import os
import subprocess
import uuid

from gmemtest import tap
from gmemtest.daemon import Daemon
from gmemtest.openmetrics import parse
from gmemtest.tap import check, equal, test

CTL = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
TIMES = "gmemd_request_duration_seconds"
MIB = 1 << 20

# What a label must be escaped for.
NAME = 'a"b\\c\\n{}=,é'
UUID = str(uuid.uuid4())

daemon = operator = vmm = vm = None


def set_up():
    global daemon, operator, vmm, vm
    daemon = Daemon(backend="model")
    operator, vmm = daemon.operator(), daemon.peer()
    vm = vmm.call("vm.open", {"name": NAME, "uuid": UUID, "gate": "none"})["vm"]


def tear_down():
    vmm.close()
    operator.close()
    daemon.stop()


def gmemctl(*arguments):
    command = [CTL, "--socket=" + daemon.socket_path("admin.sock"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def counts():
    """How many requests of each method there were."""
    return {times["method"]: times["count"] for times in operator.call("metrics.get")[TIMES]["methods"]}


@test("gmemctl metrics is what metrics.get says, as OpenMetrics text")
def text():
    families = parse(gmemctl("metrics").stdout)
    told = operator.call("metrics.get")
    equal(set(told) - {name for family in families.values() for name in family.values_of_names()} - {TIMES}, set(), "what is not printed")
    equal(families["gmemd_up"].value(), 1, "gmemd_up")
    for name in ("gmemd_vms", "gmemd_memories", "gmemd_commit_limit_bytes", "gmemd_pressure_floor_bytes", "gmemd_keeper_held"):
        equal(families[name].value(), told[name], name)
    equal(families["gmemd_vm_opened"].value(), told["gmemd_vm_opened_total"], "a counter")
    equal(families[TIMES].kind, "histogram", "its type")
    check(all(family.help for family in families.values()), "each family is explained")


@test("the times of requests are a histogram of each method")
def histograms():
    family = parse(gmemctl("metrics").stdout)[TIMES]
    told = operator.call("metrics.get")[TIMES]
    equal({sample.labels["method"] for sample in family.samples}, {times["method"] for times in told["methods"]}, "methods")
    for times in told["methods"]:
        equal(len(times["buckets"]), len(told["bounds_us"]), times["method"])
        check(times["buckets"] == sorted(times["buckets"]), "buckets of %s are sums" % times["method"])
        check(times["buckets"][-1] <= times["count"], times)
        buckets = [s for s in family.samples if s.name.endswith("_bucket") and s.labels["method"] == times["method"]]
        equal([float(s.labels["le"]) for s in buckets], [us / 1e6 for us in told["bounds_us"]] + [float("inf")], "bounds")
    equal(sorted(told["bounds_us"]), told["bounds_us"], "bounds")


@test("each request is counted once, at whatever time it is answered")
def counted():
    def grown(call, **by):
        before = counts()
        call()
        after = counts()
        after["metrics.get"] -= 1  # the one that asked
        equal({name: after[name] - before[name] for name in after if after[name] != before[name]}, by, str(by))

    grown(lambda: [operator.call("ping") for _ in range(7)], ping=7)
    grown(lambda: operator.call("vm.list"), **{"vm.list": 1})
    grown(lambda: operator.error("vm.get", {"vm": "none"}), **{"vm.get": 1})
    grown(lambda: operator.error("no.method"))
    one = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
    other = '{"jsonrpc":"2.0","id":2,"method":"vm.list"}'
    grown(lambda: (operator.send(("[%s,%s,%s]" % (one, other, one)).encode()), operator.receive()), **{"ping": 2, "vm.list": 1})
    memory = vmm.call("memory.create", {"vm": vm, "size": MIB, "backing": "memfd"})["memory"]
    grown(lambda: operator.call("memory.preallocate", {"memory": memory}), **{"memory.preallocate": 1})
    grown(lambda: operator.call("memory.reclaim", {"memory": memory, "ranges": [{"offset": 0, "size": MIB}]}), **{"memory.reclaim": 1})
    vmm.call("memory.close", {"memory": memory})


@test("no guest is named unless that is asked for")
def identity():
    plain = gmemctl("metrics").stdout
    for word in (vm, UUID, "a\\\"b"):
        check('"%s' % word not in plain, "%s is not told" % word)
    families = parse(gmemctl("metrics", "--vms").stdout)
    labels = {"vm": vm, "uuid": UUID, "name": NAME}
    told = operator.call("vm.get", {"vm": vm})
    for name in ("committed", "promised", "resident", "private"):
        [sample] = families["gmemd_vm_%s_bytes" % name].samples
        equal((sample.labels, sample.value), (labels, told[name]), name)


@test("node.list tells what of each node is committed")
def nodes():
    before = operator.call("node.list")["nodes"]
    if not tap.check(before, "the host has a node"):
        return
    node = before[0]
    memory = vmm.call("memory.create", {"vm": vm, "size": 8 * MIB, "backing": "memfd", "node": node["node"]})["memory"]
    operator.call("reservation.create", {"name": "next", "size": 16 * MIB, "node": node["node"], "ttl_ms": 60000})
    operator.call("memory.preallocate", {"memory": memory})
    operator.call("vm.list")  # pages are counted for that
    after = operator.call("node.list")["nodes"][0]
    equal(after["committed"] - node["committed"], 8 * MIB, "committed")
    equal(after["promised"] - node["promised"], 16 * MIB, "promised")
    equal(node["uncommitted"] - after["uncommitted"], 24 * MIB, "uncommitted")
    equal(after["resident"] - node["resident"], 8 * MIB, "resident")
    equal(after["limit"], after["size"] - after["reserve"], "the limit")
    check(0 < after["free"] <= after["size"] and after["cpus"], after)
    families = parse(gmemctl("metrics").stdout)
    [sample] = [s for s in families["gmemd_node_resident_bytes"].samples if s.labels == {"node": str(node["node"])}]
    equal(sample.value, after["resident"], "as a metric")
    operator.call("reservation.cancel", {"reservation": "next"})
    vmm.call("memory.close", {"memory": memory})
    equal(operator.error("node.list", {"cursor": "x"})["code"], -32602, "a cursor that is none")
    equal(vmm.error("node.list")["code"], -32002, "a VMM that asks")


@test("gmemctl nodes shows them as people read them")
def nodes_shown():
    told = operator.call("node.list")["nodes"]
    table = gmemctl("nodes").stdout
    equal(table.splitlines()[0].split()[:3], ["NODE", "CPUS", "SIZE"], "its title")
    equal(len(table.split("\n\n")[0].splitlines()), len(told) + 1, "a line for each")
    check("node distances:" in table, table)
    answer = gmemctl("nodes", "--bytes", "--noheadings", "-o", "node,size,limit")
    words = [line.split() for line in answer.stdout.splitlines()]
    equal(words, [[str(node[name]) for name in ("node", "size", "limit")] for node in told], "in bytes")
    answer = gmemctl("nodes", "-o", "nonsense")
    equal(answer.returncode, 2, "a column that there is not")
    check('no column "nonsense"; there are NODE' in answer.stderr, answer.stderr)
    told_json = gmemctl("--json", "nodes").stdout
    check(told_json.startswith('{"nodes":[{"node":0'), told_json)


tap.main(set_up, tear_down)
