# SPDX-License-Identifier: LGPL-2.1-or-later
"""A FUSE file system of an unprivileged user's, with one file: whoever drops the last reference to it waits for ever.

It speaks as much of the kernel's protocol (<linux/fuse.h>) as it takes to open that file and to write to it, with the
kernel's writeback cache. What another descriptor has written is to be written back when a reference is the last to go, and that
is never answered. The server is a process of its own: so it can end whenever it must, and then nobody waits any more.
"""

import os
import signal
import socket
import stat
import struct

from gmemtest import linux
from gmemtest.fuse import checked, libc, own_mounts, require_mounts
from gmemtest.tap import Skip

LOOKUP, FORGET, GETATTR, OPEN, WRITE, INIT, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 16, 26, 36, 42
WRITEBACK_CACHE = 1 << 16
FILE_NODE = 2
FUSE_VERSION = (7, 31)
CLONE_NEWNS, CLONE_NEWUSER, MS_REC, MS_PRIVATE = 0x20000, 0x10000000, 0x4000, 0x40000
PR_SET_DUMPABLE = 4
ENOSYS = 38
FUSE_DEVICE = (10, 229)

def attributes(node):
    mode = 0o100666 if node == FILE_NODE else 0o40777
    return struct.pack("=6Q10I", node, 1 << 16, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def reply(opcode, node):
    """The body of an answer, None for none at all, an errno for an error."""
    if opcode == INIT:
        return struct.pack("=4I2H2I2HI7I", *FUSE_VERSION, 1 << 16, WRITEBACK_CACHE, 12, 10, 1 << 16, 1, 16, 0, 0, *[0] * 7)
    if opcode == LOOKUP:
        return struct.pack("=4Q2I", FILE_NODE, 0, 60, 60, 0, 0) + attributes(FILE_NODE)
    if opcode == GETATTR:
        return struct.pack("=Q2I", 60, 0, 0) + attributes(node)
    if opcode == OPEN:
        return struct.pack("=Q2I", 1, 0, 0)
    return None if opcode in (WRITE, FORGET, INTERRUPT, BATCH_FORGET) else ENOSYS


def serve(device):
    while True:
        question = os.read(device, 1 << 21)
        _, opcode, unique, node = struct.unpack_from("=2I2Q", question)
        answer = reply(opcode, node)
        if answer is None:
            continue
        body, error = (b"", -answer) if isinstance(answer, int) else (answer, 0)
        os.write(device, struct.pack("=IiQ", 16 + len(body), error, unique) + body)


def require_fuse():
    linux.require_root()
    require_mounts()
    with open("/proc/filesystems", encoding="utf-8") as file:
        if "\tfuse\n" not in file.read():
            raise Skip("the kernel has no FUSE")


def _process(body):
    pid = os.fork()
    if pid == 0:
        linux.die_with_parent()
        try:
            body()
        finally:
            os._exit(0)
    return pid


class StuckFile:
    """This process, which was root's, is the user's from now on, in namespaces of its own. Its fd is `fd`. Once it is armed,
    nobody may close the last reference who is not to wait: so the caller's own goes before."""

    def __init__(self, user, groups=()):
        own_mounts()
        directory = "/mnt"  # what is there now only this namespace sees: nothing is left behind
        checked(libc.mount(b"gmemd", directory.encode(), b"tmpfs", 0, b"mode=777"))
        device_path, mount_point = os.path.join(directory, "fuse"), os.path.join(directory, "mount")
        os.mknod(device_path, 0o666 | stat.S_IFCHR, os.makedev(*FUSE_DEVICE))
        os.chmod(device_path, 0o666)
        self._become(user, groups)
        os.mkdir(mount_point)
        device = self._mount(device_path, mount_point)
        self.server = _process(lambda: serve(device))
        os.close(device)
        self.path = os.path.join(mount_point, "file")
        self.fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self.writer = 0

    @staticmethod
    def _become(user, groups):
        os.setgroups(list(groups))
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        linux.die_with_parent()
        libc.prctl(PR_SET_DUMPABLE, 1)
        checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
        for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % user), ("gid_map", "0 %d 1" % user)):
            with open("/proc/self/" + name, "w", encoding="utf-8") as file:
                file.write(text)

    @staticmethod
    def _mount(device_path, mount_point):
        device = os.open(device_path, os.O_RDWR | os.O_CLOEXEC)
        options = "fd=%d,rootmode=40000,user_id=0,group_id=0" % device
        checked(libc.mount(b"gmemd", mount_point.encode(), b"fuse", 0, options.encode()))
        return device

    def _write(self, written):
        """It has no reference but its own."""
        os.dup2(written, 3)
        os.closerange(4, 1 << 16)
        fd = os.open(self.path, os.O_RDWR)
        os.pwrite(fd, b"y" * 4096, 0)
        os.write(3, b"x")
        while True:
            signal.pause()

    def arm(self):
        """The caller has given its reference away."""
        read, write = os.pipe()
        self.writer = _process(lambda: self._write(write))
        os.read(read, 1)
        os.close(read)
        os.close(write)

    def nest(self):
        """A socket in whose queue it is, which then has the only reference. It is the caller's."""
        outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(inner, [b"x"], [self.fd])
        inner.close()
        os.close(self.fd)
        self.fd = -1
        return outer

    def end(self):
        """Whoever waits for it waits no more."""
        for pid in filter(None, (self.server, self.writer)):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
