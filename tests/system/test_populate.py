#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""memory.preallocate with populate: the pages are zeroed as well, of whichever memory can be mapped, and of no other."""

import os
import subprocess

from gmemtest import linux, tap
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, equal, need, test
from gmemtest.vmm import Vmm

SIZE = 8 << 20

daemon = peer = vmm = backend = None


def set_up():
    global daemon, peer, vmm, backend
    try:
        linux.require_guest_memfd()
        backend = "kvm"
    except Skip:
        backend = "model"
    daemon = Daemon(backend=backend)
    peer = daemon.peer()
    vmm = Vmm(peer, "populated", **({"type": "sw_protected"} if backend == "model" else {}))


def tear_down():
    vmm.close_files()
    peer.close()
    daemon.stop()


def zeroed(fd):
    """Bytes from the start on: of a memfd, what is allocated and no more is a hole."""
    return os.lseek(fd, 0, os.SEEK_HOLE)


@test("what is allocated is a hole, and what is populated is not")
def populated():
    memory, fd = vmm.create(SIZE, backing="memfd")
    part = {"memory": memory, "size": SIZE // 2}
    equal(peer.call("memory.preallocate", part), {"allocated": SIZE // 2, "resident": SIZE // 2}, "allocated")
    equal(zeroed(fd), 0, "zeroed")
    equal(peer.call("memory.preallocate", {**part, "populate": True, "threads": 2})["allocated"], 0, "allocated anew")
    equal(zeroed(fd), SIZE // 2, "zeroed")
    whole = {"memory": memory, "populate": True, "threads": 1024}
    equal(peer.call("memory.preallocate", whole), {"allocated": SIZE // 2, "resident": SIZE}, "the rest")
    equal(zeroed(fd), SIZE, "zeroed")
    peer.call("memory.close", {"memory": memory})
    os.close(fd)


@test("a part of a memory, and no more than that")
def part():
    memory, fd = vmm.create(SIZE, backing="memfd")
    params = {"memory": memory, "offset": 2 * PAGE, "size": 3 * PAGE, "populate": True}
    equal(peer.call("memory.preallocate", params), {"allocated": 3 * PAGE, "resident": 3 * PAGE}, "its answer")
    equal(os.lseek(fd, 0, os.SEEK_DATA), 2 * PAGE, "the first")
    equal(os.lseek(fd, 2 * PAGE, os.SEEK_HOLE), 5 * PAGE, "the last")
    peer.call("memory.close", {"memory": memory})
    os.close(fd)


@test("a memory that the guest alone can touch")
def unmappable():
    if backend == "kvm":
        raise Skip("the default type has none, and this host may have no other")
    memory, fd = vmm.create(SIZE, flags=[])
    error = peer.error("memory.preallocate", {"memory": memory, "populate": True})
    equal((error["code"], error["data"]["param"]), (-32602, "populate"), "the error")
    equal(peer.call("memory.preallocate", {"memory": memory}), {"allocated": SIZE, "resident": SIZE}, "without")
    peer.call("memory.close", {"memory": memory})
    os.close(fd)


@test("gmemctl prealloc --populate")
def gmemctl():
    memory, fd = vmm.create(SIZE, backing="memfd")
    program = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
    words = [program, "--socket=" + daemon.socket_path("admin.sock"), "prealloc", "populated", "--populate", "--memory=%d" % memory]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    need(ended.returncode == 0, ended.stderr)
    equal(zeroed(fd), SIZE, "zeroed")
    peer.call("memory.close", {"memory": memory})
    os.close(fd)


if __name__ == "__main__":
    tap.main(set_up, tear_down)
