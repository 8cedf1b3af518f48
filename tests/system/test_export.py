#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemctl export: what nova's placement and Kubernetes' Node Feature Discovery are told, and that its file is whole or the old one."""

import datetime
import json
import os
import re
import subprocess
import tempfile

from gmemtest import tap
from gmemtest.daemon import Daemon
from gmemtest.tap import Skip, check, equal, test

CTL = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
MIB = 1 << 20
# Placement's names, and the keys of an inventory, as nova's schema of version 1.0 has them.
RESOURCE_CLASS = re.compile(r"CUSTOM_[A-Z0-9_]+")
INVENTORY = {"total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio"}
# What a label of Kubernetes' is, and its value.
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")

daemon = folder = None


def set_up():
    global daemon, folder
    daemon = Daemon(backend="model")
    folder = tempfile.TemporaryDirectory(prefix="gmemd-test-")


def tear_down():
    folder.cleanup()
    daemon.stop()


def export(*arguments, socket="admin.sock"):
    command = [CTL, "--socket=" + daemon.socket_path(socket), "export", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def nodes():
    operator = daemon.operator()
    told = operator.call("node.list")["nodes"]
    operator.close()
    return told


@test("nova's provider configuration is one of its schema, with a resource class for each node")
def nova():
    try:
        import yaml  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise Skip("there is no yaml, of Debian's package python3-yaml") from error
    answer = export("nova-provider")
    equal((answer.returncode, answer.stderr), (0, ""), "how it ends")
    told = yaml.safe_load(answer.stdout)
    equal(sorted(told), ["meta", "providers"], "its parts")
    equal(told["meta"], {"schema_version": "1.0"}, "its version")
    [provider] = told["providers"]
    equal(sorted(provider), ["identification", "inventories", "traits"], "a provider's parts")
    equal(provider["identification"], {"uuid": "$COMPUTE_NODE"}, "which it is")
    inventories = provider["inventories"]["additional"]
    equal(len(inventories), len(nodes()), "inventories")
    for inventory, node in zip(inventories, nodes()):
        [(name, values)] = inventory.items()
        check(RESOURCE_CLASS.fullmatch(name), name)
        equal(name, "CUSTOM_GMEMD_NODE%d_MIB" % node["node"], "its class")
        equal(set(values), INVENTORY, "its keys")
        equal((values["total"], values["max_unit"]), (node["limit"] // MIB, node["limit"] // MIB), "how much")
        check(0 < values["total"] < 1 << 31 and values["reserved"] == 0 and values["allocation_ratio"] == 1.0, values)
    for trait in provider["traits"]["additional"]:
        check(RESOURCE_CLASS.fullmatch(trait), trait)


@test("a feature file has a line for each feature, which is a label, and says until when it counts")
def nfd():
    answer = export("nfd")
    equal((answer.returncode, answer.stderr), (0, ""), "how it ends")
    first, *lines = answer.stdout.splitlines()
    until = datetime.datetime.strptime(first, "# +expiry-time=%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    check(until > datetime.datetime.now(datetime.timezone.utc), first)
    features = dict(line.split("=") for line in lines)
    equal(len(features), len(lines), "each is there once")
    for name, value in features.items():
        check(LABEL.fullmatch(name) and LABEL.fullmatch(value), "%s=%s" % (name, value))
    equal((features["gmemd.present"], features["gmemd.gate"], features["gmemd.nodes"]), ("true", "false", str(len(nodes()))), "what there is")
    for node in nodes():
        equal(features["gmemd.node%d.limit-mib" % node["node"]], str(node["limit"] // MIB), "a node's limit")


@test("a file is written whole or not at all, and nothing is left beside it")
def files():
    path = os.path.join(folder.name, "gmemd")
    equal(export("nfd", "--output=" + path).returncode, 0, "how it ends")
    with open(path, encoding="utf-8") as file:
        check("gmemd.present=true\n" in file.read(), "what it has")
    equal(os.stat(path).st_mode & 0o777, 0o644, "who may read it")
    before = os.stat(path).st_ino
    with open(path, encoding="utf-8") as held:
        old = held.read()
        equal(export("nova-provider", "--output=" + path).returncode, 0, "over another")
        held.seek(0)
        equal(held.read(), old, "who reads the old one has that")
    check(os.stat(path).st_ino != before, "it is another file")
    answer = export("nfd", "--output=" + os.path.join(folder.name, "none", "gmemd"))
    equal((answer.returncode, answer.stderr.count("\n")), (1, 1), answer.stderr)
    check("No such file" in answer.stderr, answer.stderr)
    os.mkdir(os.path.join(folder.name, "is-a-folder"))
    answer = export("nfd", "--output=" + os.path.join(folder.name, "is-a-folder"))
    equal(answer.returncode, 1, "over a folder")
    equal(sorted(os.listdir(folder.name)), ["gmemd", "is-a-folder"], "what is there")


@test("what it can't do is said in one line, and leaves the file as it is")
def refused():
    path = os.path.join(folder.name, "kept")
    with open(path, "w", encoding="utf-8") as file:
        file.write("old\n")
    for arguments, status, word in (
        (["cloud"], 2, 'there is no form "cloud"; there are nova-provider and nfd'),
        ([], 2, "export takes FORM"),
        (["nfd", "more"], 2, "export takes FORM"),
        (["nfd", "--sort=name"], 2, "export takes no --sort"),
    ):
        answer = export(*arguments)
        equal((answer.returncode, answer.stdout), (status, ""), arguments)
        check(word in answer.stderr, answer.stderr)
    answer = export("nfd", "--output=" + path, socket="gmemd.sock")
    equal(answer.returncode, 1, "one who is no operator")
    answer = subprocess.run([CTL, "--socket=/nowhere", "export", "nfd", "--output=" + path], capture_output=True, text=True, timeout=60, check=False)
    equal(answer.returncode, 3, "without a gmemd")
    with open(path, encoding="utf-8") as file:
        equal(file.read(), "old\n", "the file")
    told = json.loads(subprocess.run([CTL, "--socket=" + daemon.socket_path("admin.sock"), "--json", "call", "node.list"], capture_output=True, check=True).stdout)
    check(told["nodes"], "gmemd serves on")


tap.main(set_up, tear_down)
