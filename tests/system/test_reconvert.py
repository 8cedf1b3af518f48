#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A connection that breaks amid a conversion, while gmemd knows the VM: by its ledger, or since it was told of it."""

import contextlib
import os
import subprocess

from gmemtest import linux, private_kernel
from gmemtest.host import Host
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, equal, main, test

RANGES = 128  # reconvert.c's

host = None


def set_up():
    global host
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    linux.require_guest_memfd()
    host = Host(environment=private_kernel.environment())


def tear_down():
    host.stop()


@contextlib.contextmanager
def vmm():
    """Its id, and what it says once it is told to convert."""
    frames = os.path.join(host.directory, "frames")
    with open(frames, "wb") as file:
        file.write(b"0" * 2 * RANGES)
    program = os.path.join(os.environ["BUILD_DIR"], "tests", "system", "reconvert")
    process = subprocess.Popen(
        [program, host.socket_path("gmemd.sock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ, **private_kernel.environment(frames)),
        preexec_fn=linux.die_with_parent,
    )

    def converts():
        process.stdin.write("go on\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    try:
        yield process.stdout.readline().strip(), converts
    finally:
        process.kill()
        process.communicate()


def all_is_converted(vm):
    operator = host.operator()
    view = operator.call("vm.get", {"vm": vm})
    operator.close()
    equal(view["calls"], [], "calls that are not reported")
    expected = [{"guest_phys_addr": 2 * i * PAGE, "size": PAGE} for i in range(RANGES)]
    equal(view["private_ranges"], expected, "what is private")
    equal(view.get("uncertain_ranges", []), [], "what is uncertain")


@test("of a VM that gmemd has had all the time")
def known():
    with vmm() as (vm, converts):
        equal(converts(), "done", "the conversion")
        all_is_converted(vm)


@test("of a VM that it has lost before, and was told of")
def rebuilt():
    with vmm() as (vm, converts):
        host.lose_all()
        equal(converts(), "done", "the conversion")
        all_is_converted(vm)


if __name__ == "__main__":
    main(set_up, tear_down)
