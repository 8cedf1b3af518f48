#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages that a VMM has had swapped out, as anybody can by MADV_PAGEOUT, are its memory's as ever: counted, charged, and gone
with all that was in them when they are given back.
"""

import os

from gmemtest import linux, tap
from gmemtest.daemon import Daemon
from gmemtest.host import wait_until
from gmemtest.linux import PAGE
from gmemtest.swap import SwapFile, swap_out
from gmemtest.tap import Skip, check, equal, need, test
from gmemtest.vmm import Vmm
from gmemtest.wire import close_all

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


def memory_of_pages():
    memory, fd = vmm.create(SIZE, backing="memfd")
    written(fd)
    return memory, fd


@test("they are counted")
def counted():
    memory, fd = memory_of_pages()
    equal(vmm.get()["memories"][0]["resident"], SIZE, "resident")
    equal(linux.in_memory(fd, SIZE), 0, "counted without having been read")
    peer.call("memory.close", {"memory": memory})
    os.close(fd)


@test("what is reclaimed is gone")
def reclaimed():
    memory, fd = memory_of_pages()
    params = {"memory": memory, "ranges": [{"offset": PAGE, "size": 2 * PAGE}]}
    equal(peer.call("memory.reclaim", params), {"reclaimed": 2 * PAGE, "resident": SIZE - 2 * PAGE}, "its answer")
    check(os.pread(fd, 4 * PAGE, 0) == b"x" * PAGE + bytes(2 * PAGE) + b"x" * PAGE, "it is there still, or more is gone")
    peer.call("memory.close", {"memory": memory})
    os.close(fd)


@test("what is closed is gone")
def closed():
    memory, fd = memory_of_pages()
    equal(peer.call("memory.close", {"memory": memory}), {"released": SIZE}, "its answer")
    equal(linux.resident(fd, SIZE), 0, "what is left")
    os.close(fd)


@test("what is closed, filled again and swapped out is charged, and nothing more is admitted than fits beside it")
def charged():
    fds = []
    for _ in range(2):
        memory, fd = vmm.create(SIZE, backing="memfd")
        peer.call("memory.close", {"memory": memory})
        written(fd)
        fds.append(fd)
    check(wait_until(lambda: vmm.get()["closed_resident"] == 2 * SIZE), "closed_resident: %r" % vmm.get())
    equal(vmm.get()["committed"], 2 * SIZE, "committed")
    error = peer.error("memory.create", {"vm": vmm.id, "size": PAGE, "backing": "memfd"})
    need(error, "a memory is admitted")
    equal(error["data"]["scope"], "vm", "its limit")
    close_all(fds)


if __name__ == "__main__":
    tap.main(set_up, tear_down)
