# SPDX-License-Identifier: LGPL-2.1-or-later
"""A FUSE file system of the test's own, with one file whose close waits until the file system ends.

It speaks as much of the kernel's protocol (<linux/fuse.h>) as it takes to open that file. Its server is a process of its
own, which has none of its files: so it can end whenever it must, and then nobody waits any more.
"""

import ctypes
import os
import signal
import struct

from gmemtest import linux
from gmemtest.tap import Skip

LOOKUP, GETATTR, OPEN, FLUSH, INIT = 1, 3, 14, 25, 26
FILE_NODE = 2
FUSE_VERSION = (7, 31)
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
ENOSYS = 38

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def attributes(node):
    mode = 0o100666 if node == FILE_NODE else 0o40777
    return struct.pack("=6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def reply(opcode, node):
    """The body of an answer, None for none at all, an errno for an error."""
    if opcode == INIT:
        return struct.pack("=4I2H2I2HI7I", *FUSE_VERSION, 0, 0, 1, 1, 4096, 1, 1, 0, 0, *[0] * 7)
    if opcode == LOOKUP:
        return struct.pack("=4Q2I", FILE_NODE, 0, 60, 60, 0, 0) + attributes(FILE_NODE)
    if opcode == GETATTR:
        return struct.pack("=Q2I", 60, 0, 0) + attributes(node)
    if opcode == OPEN:
        return struct.pack("=Q2I", 1, 0, 0)
    return None if opcode == FLUSH else ENOSYS


def serve(device):
    while True:
        question = os.read(device, 1 << 20)
        _, opcode, unique, node = struct.unpack_from("=2I2Q", question)
        answer = reply(opcode, node)
        if answer is None:
            continue
        body, error = (b"", -answer) if isinstance(answer, int) else (answer, 0)
        os.write(device, struct.pack("=IiQ", 16 + len(body), error, unique) + body)


def own_mounts():
    """A mount namespace of the caller's own, of which no other learns anything."""
    checked(libc.unshare(CLONE_NEWNS))
    checked(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))


def require_fuse():
    if not os.path.exists("/dev/fuse"):
        raise Skip("no /dev/fuse")
    require_mounts()


def require_mounts():
    child = os.fork()
    if child == 0:
        try:
            own_mounts()
        except OSError as e:
            os._exit(e.errno)
        os._exit(0)
    error = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if error != 0:
        raise Skip("no mounts of one's own, as in a chroot: " + os.strerror(error))


class SlowFile:
    """In a mount namespace of the caller's own from now on. Its fd is `fd`."""

    def __init__(self, directory):
        own_mounts()
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % device
        checked(libc.mount(b"gmemd", directory.encode(), b"fuse.gmemd", 0, options.encode()))
        self.server = os.fork()
        if self.server == 0:
            linux.die_with_parent()
            try:
                serve(device)
            finally:
                os._exit(0)
        os.close(device)
        self.fd = os.open(os.path.join(directory, "file"), os.O_RDWR | os.O_CLOEXEC)

    def end(self):
        """Whoever waits for it waits no more."""
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
