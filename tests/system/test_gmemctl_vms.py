#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemctl vms: columns, order, filters, views again and again, colours; how a uuid begins; and what bash completes."""

import json
import os
import pty
import re
import shutil
import subprocess
import tempfile
import time

from gmemtest import tap
from gmemtest.daemon import Daemon
from gmemtest.tap import check, equal, need, test

BUILD = os.environ["BUILD_DIR"]
SOURCE = os.environ["SOURCE_DIR"]
RUN, CTL = (os.path.join(BUILD, "client", name) for name in ("gmem-run", "gmemctl"))
MIB = 1 << 20

# Two uuids that begin alike; and a name that would be a command, were it ever expanded.
EVIL = "x$(touch evil)`touch evil`"
VMS = {
    "web-1": ("aaaa1111-0000-4000-8000-000000000001", 1),
    "web-2": ("aaaa2222-0000-4000-8000-000000000002", 3),
    "db": ("bbbb0000-0000-4000-8000-000000000003", 2),
    EVIL: ("cccc0000-0000-4000-8000-000000000004", 1),
}

STARTED = time.time() - 1

daemon = None
processes = {}


def set_up():
    global daemon
    daemon = Daemon(backend="model")
    for name, (uuid, mib) in VMS.items():
        command = [RUN, "--socket=" + daemon.socket_path("gmemd.sock"), "--name=" + name, "--uuid=" + uuid, f"--commit-limit={mib}M"]
        process = subprocess.Popen([*command, "--", "sh", "-c", "echo runs; exec sleep 600"], stdout=subprocess.PIPE, text=True)
        processes[name] = process
        need(process.stdout.readline() == "runs\n", f"VM {name} does not run")


def tear_down():
    for process in processes.values():
        process.kill()
        process.wait()
    daemon.stop()


def gmemctl(*arguments):
    command = [CTL, "--socket=" + daemon.socket_path("admin.sock"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def names(*arguments):
    answer = gmemctl("vms", "--noheadings", "-o", "name", *arguments)
    equal((answer.returncode, answer.stderr), (0, ""), f"gmemctl vms {arguments}")
    return [line.rstrip() for line in answer.stdout.splitlines()]


def refused(what, *arguments):
    answer = gmemctl(*arguments)
    equal(answer.returncode, 2, f"how gmemctl {arguments} ends")
    check(what in answer.stderr, f"{what!r} is in {answer.stderr!r}")


@test("columns are those that are asked for, in that order")
def columns():
    table = gmemctl("vms", "-o", "NAME,uuid,Promised", "--bytes", "--name=db").stdout.splitlines()
    equal([line.split() for line in table], [["NAME", "UUID", "PROMISED"], ["db", VMS["db"][0], str(2 * MIB)]], "the table")
    usual = gmemctl("vms").stdout.splitlines()[0].split()
    more = gmemctl("vms", "--output=+uuid,unit").stdout.splitlines()[0].split()
    equal(more, usual + ["UUID", "UNIT"], "columns besides the usual ones")
    refused('no column "nonsense"; there are ID NAME', "vms", "-o", "name,nonsense")
    refused("NAME twice", "vms", "-o", "name,name")
    refused("NAME twice", "vms", "-o", "+name")
    refused('no column ""', "vms", "-o", "")
    refused('no column ""', "vms", "-o", "name,")


@test("VMs are in the order that is asked for")
def order():
    equal(names(), list(VMS), "as they were opened")
    equal(names("--sort=promised"), ["web-2", "db", "web-1", EVIL], "the largest first")
    equal(names("--sort=name"), sorted(VMS), "by name")
    refused('no column "rate"', "vms", "--sort=rate")
    refused("--sort must be committed", "top", "--sort=pid")


@test("a VM says when it was opened")
def ages():
    told = json.loads(gmemctl("--json", "vms").stdout)["vms"]
    opened = [vm["opened"] for vm in told]
    equal(sorted(opened), opened, "they were opened one after the other")
    check(all(STARTED <= us / 1e6 <= time.time() for us in opened), f"{opened} is while this runs")
    shown = gmemctl("vms", "--noheadings", "-o", "opened,age", "--name=db").stdout.split()
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", shown[0]), shown)
    check(re.fullmatch(r"(\d+m)?\d+s", shown[1]), shown)
    equal(names("--sort=age")[0], "web-1", "the oldest is the first")
    check("opened     20" in gmemctl("show", "db").stdout, "show has it")


@test("VMs are those that fit")
def filters():
    pid = processes["db"].pid
    equal(names("--name=web-*"), ["web-1", "web-2"], "by name")
    equal(names("--name=web-*", "--name=db"), ["db"], "the last one counts")
    equal(names(f"--pid={pid}"), ["db"], "by pid")
    equal(names("--tenant=uid:0", "--name=?b"), ["db"], "by tenant and name")
    equal(names("--tenant=nobody"), [], "of no tenant")
    equal(names("--state=released"), [], "in a state that none is in")
    equal(len(names("--state=run*")), 4, "in a state")
    equal(gmemctl("vms", "--name=none").stdout, "none\n", "what is said where none fits")
    told = json.loads(gmemctl("--json", "vms", "--name=web-*", "--sort=promised").stdout)
    equal([vm["name"] for vm in told["vms"]], ["web-2", "web-1"], "as JSON")
    refused("--pid must be", "vms", "--pid=x")


@test("a unit is what systemd says, where it runs")
def unit():
    told = json.loads(gmemctl("--json", "vms", "--name=db").stdout)["vms"][0]["unit"]
    if os.path.isdir("/run/systemd/system"):
        check(isinstance(told, str) and told, f"{told!r} is a unit")
        equal(names("--unit=" + told, "--name=db"), ["db"], "by unit")
    else:
        equal(told, None, "the unit")


@test("a VM is named by how its uuid begins, if that is one alone")
def prefixes():
    for which in ("bbbb", "BBBB0", VMS["db"][0][:20]):
        answer = gmemctl("--json", "show", which)
        equal(answer.returncode and answer.stderr or json.loads(answer.stdout)["name"], "db", which)
    refused('more than one VM is called "aaaa"', "show", "aaaa")
    equal(gmemctl("show", "bbb").returncode, 4, "what is too short to tell")
    equal(gmemctl("show", "dddd").returncode, 4, "what no uuid begins with")


@test("--watch shows them again and again")
def watch():
    answer = gmemctl("vms", "--watch", "--count=2", "--interval=1", "-o", "name", "--noheadings", "--name=db")
    equal((answer.returncode, answer.stdout), (0, "db\ndb\n"), "two views")


def on_terminal(**environment):
    controller, terminal = pty.openpty()
    command = [CTL, "--socket=" + daemon.socket_path("admin.sock"), "vms"]
    child = subprocess.Popen(command, stdin=terminal, stdout=terminal, env={**os.environ, **environment})
    os.close(terminal)
    output = b""
    while True:
        try:
            packet = os.read(controller, 65536)
        except OSError:
            break
        if not packet:
            break
        output += packet
    os.close(controller)
    equal(child.wait(60), 0, "how gmemctl ends")
    return output


@test("there are colours on a terminal, but for NO_COLOR")
def colours():
    os.environ.pop("NO_COLOR", None)
    output = on_terminal(TERM="xterm")
    check(re.search(rb"\x1b\[[0-9;]*mnone", output), f"that there is no gate has a colour: {output!r}")
    for environment in ({"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}):
        output = on_terminal(**environment)
        check(b"none" in output and b"\x1b[3" not in output, f"no colour with {environment}: {output!r}")
    check("\x1b" not in gmemctl("vms").stdout, "no colour in a pipe")


def completions(line, folder):
    """What bash offers behind the line: its words as readline has split them, with = by itself."""
    words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith((" ", "=")) else [])
    if line.endswith("="):
        words.pop()
    script = """
        PATH=$1:$PATH
        . "$2"
        shift 2
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _gmemctl 2>/dev/null
        [ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
    """
    command = ["bash", "-c", script, "-", os.path.dirname(CTL), os.path.join(SOURCE, "client/ctl/completion.bash"), *words]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    equal(answer.stderr, "", f"what bash says to {line!r}")
    return answer.stdout.splitlines()


@test("bash completes verbs, options, methods, VMs, and expands no name")
def completion():
    with tempfile.TemporaryDirectory(prefix="gmemd-test-") as folder:
        where = "gmemctl --socket=" + daemon.socket_path("admin.sock") + " "
        equal(completions("gmemctl sl", folder), ["slots"], "a verb")
        check({"--watch", "--name=", "--json"} <= set(completions("gmemctl vms --", folder)), "options")
        equal(completions("gmemctl call memory.cl", folder), ["memory.close"], "a method")
        equal(completions(where + "show we", folder), ["web-1", "web-2"], "VMs")
        quoted = subprocess.run(["bash", "-c", 'printf "%q\\n" "$1"', "-", EVIL], capture_output=True, text=True, check=True).stdout.splitlines()
        equal(completions(where + "show x", folder), quoted, "a VM whose name needs quoting")
        equal(completions(where + "vms --name=d", folder), ["db"], "a filter's value")
        equal(completions("gmemctl vms --sort=promi", folder), ["promised"], "a column")
        equal(completions("gmemctl vms -o uu", folder), ["uuid"], "a column for -o")
        equal(os.listdir(folder), [], "files that a name's expansion has made")


if not shutil.which("bash"):
    print("1..0 # SKIP no bash")
else:
    tap.main(set_up, tear_down)
