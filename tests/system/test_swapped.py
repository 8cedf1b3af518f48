#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages that a VMM has had swapped out, as anybody can by MADV_PAGEOUT, are its memory's as ever: counted, charged, and gone
with all that was in them when they are given back.
"""

import contextlib
import os

from gmemtest import linux, tap
from gmemtest.daemon import Daemon
from gmemtest.host import wait_until
from gmemtest.linux import PAGE
from gmemtest.swap import SwapFile, swap_out
from gmemtest.tap import Skip, check, equal, need, test
from gmemtest.vmm import Vmm

SIZE = 4 << 20

daemon = swap = peer = vmm = None


def set_up():
    global daemon, swap, peer, vmm
    swap = SwapFile(4 * SIZE)
    try:
        linux.require_guest_memfd()
        backend = "kvm"
    except Skip:
        backend = "model"
    daemon = Daemon(backend=backend)
    peer = daemon.peer()
    vmm = Vmm(peer, "swaps", commit_limit=2 * SIZE)


def tear_down():
    vmm.close_files()
    peer.close()
    daemon.stop()
    swap.end()


def written(fd):
    """All of it, and all of that in no memory."""
    os.pwrite(fd, b"x" * SIZE, 0)
    swap_out(fd, SIZE)


@contextlib.contextmanager
def memory_of_pages():
    """(its id, its file), whatever comes of it: others need what it is charged for."""
    memory, fd = vmm.create(SIZE, backing="memfd")
    try:
        written(fd)
        yield memory, fd
    finally:
        peer.error("memory.close", {"memory": memory})  # that it was closed already
        os.close(fd)


@test("they are counted")
def counted():
    with memory_of_pages() as (_, fd):
        equal(vmm.get()["memories"][0]["resident"], SIZE, "resident")
        equal(linux.in_memory(fd, SIZE), 0, "counted without having been read")


@test("what is reclaimed is gone")
def reclaimed():
    with memory_of_pages() as (memory, fd):
        params = {"memory": memory, "ranges": [{"offset": PAGE, "size": 2 * PAGE}]}
        equal(peer.call("memory.reclaim", params), {"reclaimed": 2 * PAGE, "resident": SIZE - 2 * PAGE}, "its answer")
        check(os.pread(fd, 4 * PAGE, 0) == b"x" * PAGE + bytes(2 * PAGE) + b"x" * PAGE, "it is there still, or more is gone")


@test("what is closed is gone")
def closed():
    with memory_of_pages() as (memory, fd):
        equal(peer.call("memory.close", {"memory": memory}), {"released": SIZE}, "its answer")
        equal(linux.resident(fd, SIZE), 0, "what is left")


@test("what is closed, filled again and swapped out is charged, and nothing more is admitted than fits beside it")
def charged():
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            memory, fd = vmm.create(SIZE, backing="memfd")
            stack.callback(os.close, fd)
            peer.call("memory.close", {"memory": memory})
            written(fd)
        check(wait_until(lambda: vmm.get()["closed_resident"] == 2 * SIZE), "closed_resident: %r" % vmm.get())
        equal(vmm.get()["committed"], 2 * SIZE, "committed")
        error = peer.error("memory.create", {"vm": vmm.id, "size": PAGE, "backing": "memfd"})
        need(error, "a memory is admitted")
        equal(error["data"]["scope"], "vm", "its limit")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
