# SPDX-License-Identifier: LGPL-2.1-or-later
"""A FUSE file system of an unprivileged user's own, whose files make those wait who close them, or read or map them.

It speaks as much of the kernel's protocol (<linux/fuse.h>) as it takes to open its one file. Its server is a process of
its own, which has none of its files: so it can end whenever it must, and then nobody waits any more.
"""

import ctypes
import os
import signal
import stat
import struct

from gmemtest import linux
from gmemtest.tap import Skip

LOOKUP, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT = 1, 3, 14, 15, 18, 25, 26
FILE_NODE = 2
FILE_SIZE = 1 << 16
FUSE_VERSION = (7, 31)
FOPEN_DIRECT_IO = 1
FUSE_DEVICE = (10, 229)
CLONE_NEWNS, CLONE_NEWUSER, MS_REC, MS_PRIVATE = 0x20000, 0x10000000, 0x4000, 0x40000
PR_SET_DUMPABLE = 4
ENOSYS = 38

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def attributes(node):
    mode, size = (0o100666, FILE_SIZE) if node == FILE_NODE else (0o40777, 0)
    return struct.pack("=6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


class _Server:
    def __init__(self, silent):
        self.silent = silent
        self.opened = 0

    def reply(self, opcode, node):
        """The body of an answer, None for none at all, an errno for an error."""
        if opcode in self.silent or opcode == RELEASE:
            return None
        if opcode == INIT:
            return struct.pack("=4I2H2I2HI7I", *FUSE_VERSION, 0, 0, 1, 1, 4096, 1, 1, 0, 0, *[0] * 7)
        if opcode == LOOKUP:
            return struct.pack("=4Q2I", FILE_NODE, 0, 60, 60, 0, 0) + attributes(FILE_NODE)
        if opcode == GETATTR:
            return struct.pack("=Q2I", 60, 0, 0) + attributes(node)
        if opcode == OPEN:
            # The first goes through the page cache, all others round it.
            self.opened += 1
            return struct.pack("=Q2I", self.opened, FOPEN_DIRECT_IO if self.opened > 1 else 0, 0)
        return b"" if opcode == FLUSH else ENOSYS

    def serve(self, device):
        while True:
            question = os.read(device, 1 << 20)
            _, opcode, unique, node = struct.unpack_from("=2I2Q", question)
            answer = self.reply(opcode, node)
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


def own_namespace():
    """A user and a mount namespace of the caller's own, whose root it is."""
    uid, gid = os.getuid(), os.getgid()
    checked(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))  # its /proc files are its own
    checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    for name, text in (
        ("setgroups", b"deny"),
        ("uid_map", b"0 %d 1" % uid),
        ("gid_map", b"0 %d 1" % gid),
    ):
        with open("/proc/self/" + name, "wb") as file:
            file.write(text)


def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    linux.die_with_parent()  # the kernel forgets it when the user changes


class SlowFiles:
    """Whoever does to its files what it is silent about waits, until it ends.

    The caller, who is root, is that user from now on, in a user namespace of its own. directory: an empty one that all can reach."""

    def __init__(self, uid, directory, silent):
        self._prepare(directory)
        become(uid)
        own_namespace()
        device = os.open(directory + "/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = "fd=%d,rootmode=40000,user_id=0,group_id=0" % device
        os.mkdir(directory + "/mount")
        self.path = directory + "/mount/file"
        checked(libc.mount(b"gmemd", (directory + "/mount").encode(), b"fuse", 0, options.encode()))
        self.server = os.fork()
        if self.server == 0:
            linux.die_with_parent()
            try:
                _Server(silent).serve(device)
            finally:
                os._exit(0)
        os.close(device)

    @staticmethod
    def _prepare(directory):
        """A device that anybody may open, as on most hosts, where no other process sees it."""
        own_mounts()
        checked(libc.mount(b"gmemd", directory.encode(), b"tmpfs", 0, b"mode=777"))
        os.mknod(directory + "/fuse", 0o666 | stat.S_IFCHR, os.makedev(*FUSE_DEVICE))
        os.chmod(directory + "/fuse", 0o666)

    def open(self):
        return os.open(self.path, os.O_RDWR | os.O_CLOEXEC)

    def end(self):
        """Whoever waits for it waits no more."""
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
