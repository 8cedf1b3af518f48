# SPDX-License-Identifier: LGPL-2.1-or-later
"""The system calls that Python's library lacks, or has with other arguments."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os

KVM_CREATE_VM = 0xAE01

PROT_READ = 1
MAP_SHARED = 0x01
MAP_FIXED_NOREPLACE = 0x100000  # Linux 4.17

NR_MSEAL = 462  # Linux 6.10

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong]
_libc.syscall.restype = ctypes.c_long


def _failure(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def ioctl(fd: int, request: int, argument: int) -> int:
    """With all 64 bits of the argument. One that a signal has interrupted has done nothing, and is tried again."""
    while True:
        result: int = _libc.ioctl(fd, request, argument)
        if result >= 0:
            return result
        if ctypes.get_errno() != errno.EINTR:
            raise _failure(f"ioctl {request:#x}")


def map_for_good(fd: int, address: int, length: int) -> None:
    """A read-only mapping that nothing in this process can change or take away any more."""
    got = _libc.mmap(address, length, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0)
    if got != address:
        raise _failure(f"mapping the mailbox at {address:#x}")
    arguments = (NR_MSEAL, address, length, 0)
    # Where a kernel can't seal there is no gate either.
    if _libc.syscall(*map(ctypes.c_ulong, arguments)) < 0 and ctypes.get_errno() != errno.ENOSYS:
        raise _failure("sealing the mailbox")


def own_process_number() -> int:
    """Stays the same across exec, and is no other process's: the inode of a pidfd."""
    pidfd = os.pidfd_open(os.getpid())
    try:
        return os.fstat(pidfd).st_ino
    finally:
        os.close(pidfd)


def address_of(view: mmap.mmap) -> int:
    """Where a writable mapping is in this process."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))
