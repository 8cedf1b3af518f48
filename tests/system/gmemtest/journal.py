# SPDX-License-Identifier: LGPL-2.1-or-later
"""A gmemd whose stderr leads to a journal of the test's own."""

import contextlib
import os
import socket
import struct
import tempfile

from gmemtest import linux
from gmemtest.daemon import Daemon
from gmemtest.fuse import checked, libc, own_mounts, require_mounts
from gmemtest.tap import check

MS_BIND = 0x1000


def entries(packets):
    """The fields of each, by the journal's native protocol."""
    for packet in packets:
        fields = {}
        while packet:
            line, _, packet = packet.partition(b"\n")
            name, equals, value = line.partition(b"=")
            if not equals:
                [size] = struct.unpack_from("<Q", packet)
                value, packet = packet[8 : 8 + size], packet[9 + size :]
            fields[name.decode()] = value
        yield fields


def own_journal(directory):
    """What the process that becomes gmemd finds at the journal's place is that directory."""

    def before(_):
        own_mounts()
        checked(libc.mount(b"none", b"/run", b"tmpfs", 0, None))
        os.makedirs("/run/systemd/journal")
        checked(libc.mount(directory.encode(), b"/run/systemd/journal", None, MS_BIND, None))

    return before


@contextlib.contextmanager
def journal(backend="model", **options):
    """(a gmemd that logs to it, its socket, the other end of gmemd's stderr)"""
    linux.require_root()
    require_mounts()
    ours, theirs = socket.socketpair()
    status = os.fstat(theirs.fileno())
    os.environ["JOURNAL_STREAM"] = "%d:%d" % (status.st_dev, status.st_ino)
    with tempfile.TemporaryDirectory() as directory:
        entrance = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        entrance.bind(os.path.join(directory, "socket"))
        daemon = Daemon(backend=backend, stderr=theirs.fileno(), before=own_journal(directory), **options)
        try:
            del os.environ["JOURNAL_STREAM"]
            yield daemon, entrance, ours
            check(daemon.alive(), "gmemd has ended")
        finally:
            daemon.stop()
        entrance.close()
    ours.close()
    theirs.close()
