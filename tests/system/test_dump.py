#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gmemctl dump: a VM's memory as an ELF core, which gdb reads; what is left out, named; and one that goes on."""

import fcntl
import json
import mmap
import os
import shutil
import struct
import subprocess
import tempfile

from gmemtest import linux, tap
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, check, equal, need, test
from gmemtest.vmm import Vmm

CTL = os.path.join(os.environ["BUILD_DIR"], "client", "gmemctl")
MIB = 1 << 20
LOW, HIGH, OWN = 0, 0x100000000, 0x200000000
SIZE = 24 * MIB

daemon = vmm = directory = on_model = None
files = []


def set_up():
    global daemon, vmm, directory, on_model
    try:
        linux.require_guest_memfd()
        on_model = False
    except Skip:
        on_model = True
    daemon = Daemon(backend="model" if on_model else "kvm")
    vmm = Vmm(daemon.peer(), "dumped", **({"type": "sw_protected"} if on_model else {}))
    directory = tempfile.mkdtemp(prefix="gmemd-dump-")
    make_guest()


def make_guest():
    """Two slots of one memory, the first one's with a private page where that can be had; one of the VMM's own memory."""
    options = {"backing": "memfd"} if on_model else {}
    memory, fd = vmm.create(SIZE, **options)
    files.append(fd)
    bytes_of = mmap.mmap(fd, SIZE)
    for at in (0, 5 * PAGE, SIZE // 2 - PAGE, SIZE // 2, SIZE - PAGE):
        bytes_of[at : at + 8] = struct.pack("<Q", 0xC0DE0000 + at // PAGE)
    bytes_of.close()
    if on_model:
        private, private_fd = vmm.create(SIZE, flags=[])
        files.append(private_fd)
        vmm.bind(0, LOW, SIZE // 2, private, private_fd, shared_memory=memory, shared_offset=0)
        vmm.bind(1, HIGH, SIZE // 2, private, private_fd, offset=SIZE // 2, shared_memory=memory, shared_offset=SIZE // 2)
        ranges = [{"guest_phys_addr": 16 * PAGE, "size": PAGE}]
        vmm.peer.call("memory.convert", {"vm": vmm.id, "to": "private", "ranges": ranges})
    else:
        vmm.bind(0, LOW, SIZE // 2, memory, fd)
        vmm.bind(1, HIGH, SIZE // 2, memory, fd, offset=SIZE // 2)
    own = linux.mmap(None, MIB, linux.PROT_READ | linux.PROT_WRITE, linux.MAP_PRIVATE | linux.MAP_ANONYMOUS, -1)
    vmm.bind_own(2, OWN, MIB, own)


def tear_down():
    vmm.close_files()
    vmm.peer.close()
    for fd in files:
        os.close(fd)
    daemon.stop()
    shutil.rmtree(directory)


def path_of(name):
    return os.path.join(directory, name)


def gmemctl(*arguments):
    words = [CTL, "--socket=" + daemon.socket_path("admin.sock"), *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def dumped(name):
    ended = gmemctl("dump", "dumped", path_of(name), "--json")
    need(ended.returncode == 0, "gmemctl dump: %s" % ended.stderr)
    return json.loads(ended.stdout)


def segments(path):
    """(guest address, bytes in the file, bytes in all, offset) of each PT_LOAD."""
    with open(path, "rb") as file:
        head = file.read(64)
        table, count = struct.unpack_from("<Q", head, 32)[0], struct.unpack_from("<H", head, 56)[0]
        file.seek(table)
        headers = [struct.unpack("<IIQQQQQQ", file.read(56)) for _ in range(count)]
    return [(h[4], h[5], h[6], h[2]) for h in headers if h[0] == 1]


def word_at(path, address):
    for start, in_file, _, offset in segments(path):
        if start <= address < start + in_file:
            with open(path, "rb") as file:
                file.seek(offset + address - start)
                return struct.unpack("<Q", file.read(8))[0]
    return None


@test("a segment for each slot, at its guest address, with what is there")
def whole():
    told = dumped("whole")
    path = path_of("whole")
    found = [(start, in_file, size) for start, in_file, size, _ in segments(path)]
    equal(found, [(LOW, SIZE // 2, SIZE // 2), (HIGH, SIZE // 2, SIZE // 2), (OWN, 0, MIB)], "segments")
    for address, page in ((LOW, 0), (5 * PAGE, 5), (SIZE // 2 - PAGE, SIZE // 2 // PAGE - 1)):
        equal(word_at(path, address), 0xC0DE0000 + page, "at %#x" % address)
    equal(word_at(path, HIGH), 0xC0DE0000 + SIZE // 2 // PAGE, "the second slot's first")
    equal(word_at(path, HIGH + SIZE // 2 - PAGE), 0xC0DE0000 + SIZE // PAGE - 1, "its last")
    equal(word_at(path, PAGE), 0, "where nobody has written")
    why = {(part["guest_phys_addr"], part["size"]): part["why"] for part in told["left_out"]}
    equal(why.pop((OWN, MIB)), "the VMM's own memory", "of the VMM's own slot")
    equal(why, {(16 * PAGE, PAGE): "private"} if on_model else {}, "what else was left out")
    check(os.stat(path).st_blocks * 512 < MIB, "it has no holes: %d bytes" % (os.stat(path).st_blocks * 512))
    equal(os.stat(path).st_mode & 0o777, 0o600, "its mode")
    equal(told["unread"], 0, "unread")


@test("nothing is allocated by dumping")
def sparse():
    before = [memory["resident"] for memory in vmm.get()["memories"]]
    dumped("sparse")
    equal([memory["resident"] for memory in vmm.get()["memories"]], before, "resident")


@test("gdb reads it")
def gdb():
    if not shutil.which("gdb"):
        raise Skip("there is no gdb")
    dumped("gdb")
    words = ["gdb", "-nx", "-batch", "-ex", "core-file " + path_of("gdb"), "-ex", "x/gx %#x" % HIGH, "-ex", "x/gx %#x" % (5 * PAGE)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    for address, page in ((HIGH, SIZE // 2 // PAGE), (5 * PAGE, 5)):
        line = "%#x:\t%#018x" % (address, 0xC0DE0000 + page)
        check(line in ended.stdout, "no %r in %s%s" % (line, ended.stdout, ended.stderr))


def private(path, flags):
    return os.open(path, flags, 0o600)


@test("one that was interrupted goes on, and is the same")
def goes_on():
    dumped("complete")
    with open(path_of("complete"), "rb") as file:
        complete = file.read()
    # As one leaves it that ends amid its third chunk, of which a part is there.
    with open(path_of("again.part"), "wb", opener=private) as file:
        file.write(complete[: 8 * MIB + 3 * PAGE])
    dumped("again")
    with open(path_of("again"), "rb") as file:
        check(file.read() == complete, "another dump")
    check(not os.path.exists(path_of("again.part")), "its part is left")


@test("what it must not overwrite")
def refused():
    dumped("there")
    ended = gmemctl("dump", "dumped", path_of("there"))
    equal((ended.returncode, "is there already" in ended.stderr), (1, True), "of a file that is there")
    with open(path_of("other.part"), "wb", opener=private) as file:
        file.write(b"x" * MIB)
    ended = gmemctl("dump", "dumped", path_of("other"))
    equal((ended.returncode, "another dump" in ended.stderr), (1, True), "of another's part")
    equal(os.stat(path_of("other.part")).st_size, MIB, "another's part")
    ended = gmemctl("dump", "nobody", path_of("nobody"))
    equal((ended.returncode, os.path.exists(path_of("nobody.part"))), (4, False), "of no VM")
    ended = gmemctl("dump", "dumped", "/dev/full/x")
    equal(ended.returncode, 1, "of no folder")


@test("a part that others can read, or that is being written, is left alone")
def others_part():
    with open(path_of("read.part"), "wb", opener=private) as part:
        os.fchmod(part.fileno(), 0o644)
        ended = gmemctl("dump", "dumped", path_of("read"))
        equal((ended.returncode, "others may open it" in ended.stderr), (1, True), "of one that others may open")
        os.fchmod(part.fileno(), 0o600)
        fcntl.flock(part, fcntl.LOCK_EX)
        ended = gmemctl("dump", "dumped", path_of("read"))
        equal((ended.returncode, "another gmemctl writes" in ended.stderr), (1, True), "of one that is written")
        if os.geteuid() == 0:
            fcntl.flock(part, fcntl.LOCK_UN)
            os.fchown(part.fileno(), 1, -1)
            ended = gmemctl("dump", "dumped", path_of("read"))
            equal((ended.returncode, "another user's" in ended.stderr), (1, True), "of another user's")
    equal(os.stat(path_of("read.part")).st_size, 0, "what was written to them")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
