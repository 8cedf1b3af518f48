# SPDX-License-Identifier: LGPL-2.1-or-later
"""A swap file for a moment, and pages that are swapped out."""

import atexit
import ctypes
import os
import shutil
import struct
import tempfile
import time

from gmemtest import linux
from gmemtest.linux import PAGE
from gmemtest.tap import Skip

MAP_POPULATE = 0x8000
MADV_PAGEOUT = 21
SECONDS = 60
LEAST_PRIORITY = 0x8000  # SWAP_FLAG_PREFER, and 0

libc = ctypes.CDLL(None, use_errno=True)
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def _write(path, size):
    """What mkswap(8) writes; without holes, as the kernel wants it."""
    header = bytearray(PAGE)
    header[1024:1036] = struct.pack("=III", 1, size // PAGE - 1, 0)
    header[-10:] = b"SWAPSPACE2"
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(bytes(header) + bytes(size - PAGE))
        file.flush()
        os.fsync(file.fileno())


class SwapFile:
    """Until end(), or the end of this process."""

    def __init__(self, size):
        linux.require_root()
        self.directory = tempfile.mkdtemp(prefix="gmemd-test-")
        self.path = os.path.join(self.directory, "swap").encode()
        self.owner = os.getpid()
        atexit.register(self.end)
        _write(self.path, size)
        if libc.swapon(self.path, LEAST_PRIORITY) < 0:
            reason = os.strerror(ctypes.get_errno())
            self.end()
            raise Skip("swapon(2) in %s: %s" % (self.directory, reason))

    def end(self):
        if os.getpid() != self.owner or not os.path.isdir(self.directory):
            return
        libc.swapoff(self.path)
        shutil.rmtree(self.directory)


def swap_out(fd, size):
    """All of the file's pages, by a mapping that shows them; the kernel may put off those that are in use."""
    address = linux.mmap(None, size, linux.PROT_READ | linux.PROT_WRITE, linux.MAP_SHARED | MAP_POPULATE, fd)
    until = time.monotonic() + SECONDS
    try:
        while linux.in_memory(fd, size) > 0:
            if time.monotonic() > until:
                raise Skip("this kernel swaps no pages out when it is asked to")
            libc.madvise(address, size, MADV_PAGEOUT)
            time.sleep(0.01)
    finally:
        linux.munmap(address, size)
