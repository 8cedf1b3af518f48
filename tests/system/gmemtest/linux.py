# SPDX-License-Identifier: LGPL-2.1-or-later
"""The system calls that Python's library lacks, by ctypes."""

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct

from gmemtest.tap import Skip

MAP_SHARED = 0x01
MAP_PRIVATE = 0x02
MAP_FIXED = 0x10
MAP_ANONYMOUS = 0x20
MAP_FIXED_NOREPLACE = 0x100000
PROT_NONE = 0
PROT_READ = 1
PROT_WRITE = 2

KVM_CREATE_VM = 0xAE01
KVM_CHECK_EXTENSION = 0xAE03
KVM_GET_VCPU_MMAP_SIZE = 0xAE04
KVM_CREATE_VCPU = 0xAE41
KVM_SET_USER_MEMORY_REGION = 0x4020AE46
KVM_GET_DIRTY_LOG = 0x4010AE42
KVM_RUN = 0xAE80
KVM_EXIT_HLT = 5
KVM_CAP_GUEST_MEMFD = 234

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3
NR_SECCOMP = {"x86_64": 317, "aarch64": 277}
NR_EXIT = {"x86_64": 60, "aarch64": 93}
NR_IOCTL = {"x86_64": 16, "aarch64": 29}
NR_SOCKET_OPTIONS = {"x86_64": (54, 55), "aarch64": (208, 209)}  # setsockopt, getsockopt
NR_KCMP = {"x86_64": 312, "aarch64": 272}
NR_PIDFD_GETFD = 438
NR_MSEAL = 462
NR_CACHESTAT = 451
NR_USERFAULTFD = {"x86_64": 323, "aarch64": 282}
UFFDIO_API, UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00
F_ADD_SEALS = 1033
F_GET_SEALS = 1034

PAGE = os.sysconf("SC_PAGESIZE")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong]
_libc.syscall.restype = ctypes.c_long


def _checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def ioctl(fd, command, argument=0):
    return _checked(_libc.ioctl(fd, command, argument))


def mmap(address, length, protection, flags, fd=-1, offset=0):
    result = _libc.mmap(address, length, protection, flags, fd, offset)
    if result == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def allocate(fd, offset, size):
    """fallocate(2) with KEEP_SIZE, which a guest_memfd demands."""
    long = ctypes.c_long
    _checked(_libc.fallocate(fd, 1, long(offset), long(size)))


def missing_page():
    """A userfaultfd(2), and the address of a page whose reader waits for ever."""
    fd = _checked(_libc.syscall(ctypes.c_long(NR_USERFAULTFD[os.uname().machine]), os.O_CLOEXEC))
    api = struct.pack("=QQQ", 0xAA, 0, 0)
    fcntl.ioctl(fd, UFFDIO_API, api)
    address = mmap(None, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    fcntl.ioctl(fd, UFFDIO_REGISTER, struct.pack("=QQQQ", address, PAGE, 1, 0))
    return fd, address


def write_from(fd, address):
    _libc.pwrite(fd, ctypes.c_void_p(address), ctypes.c_size_t(1), ctypes.c_long(0))


def munmap(address, length):
    _checked(_libc.munmap(address, length))


def seal(fd):
    """What gmemd seals its files with: F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW."""
    fcntl.fcntl(fd, F_ADD_SEALS, 1 | 2 | 4)


def mseal(address, length):
    """Returns whether this kernel knows it."""
    result = _libc.syscall(
        ctypes.c_long(NR_MSEAL),
        ctypes.c_ulong(address),
        ctypes.c_ulong(length),
        ctypes.c_ulong(0),
    )
    if result == -1 and ctypes.get_errno() == errno.ENOSYS:
        return False
    _checked(result)
    return True


def fallocate(fd, mode, offset, size):
    _checked(_libc.fallocate(ctypes.c_int(fd), ctypes.c_int(mode), ctypes.c_long(offset), ctypes.c_long(size)))


def _count_pages(fd, size):
    """What cachestat(2) says of them."""
    range_, counts = (ctypes.c_uint64 * 2)(0, size), (ctypes.c_uint64 * 5)()
    _checked(
        _libc.syscall(
            ctypes.c_long(NR_CACHESTAT), ctypes.c_int(fd), ctypes.byref(range_), ctypes.byref(counts), 0
        )
    )
    return counts


def resident(fd, size):
    """Bytes of the file's pages that are allocated, in memory or swapped out."""
    counts = _count_pages(fd, size)
    return (counts[0] + counts[3]) * PAGE


def in_memory(fd, size):
    return _count_pages(fd, size)[0] * PAGE


def prctl(option, argument):
    return _checked(_libc.prctl(option, argument, 0, 0, 0))


def die_with_parent():
    """For a child: nothing outlives its test."""
    _checked(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000


def unshare(flags):
    """A new process is the first of a new pid namespace, not this one."""
    _checked(_libc.unshare(flags))


def exit_thread():
    """Of this thread alone, be it the main one; others go on."""
    _libc.syscall(ctypes.c_long(NR_EXIT[os.uname().machine]), ctypes.c_long(0))


class _Filter(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Filter))]


def _instructions(trapped):
    """Let everything through but one ioctl, where there is one."""
    load, equal, answer = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ, BPF_RET
    allow = _Filter(answer, 0, 0, 0x7FFF0000)  # SECCOMP_RET_ALLOW
    if trapped is None:
        return [allow]
    return [
        _Filter(load, 0, 0, 0),  # the number of the call
        _Filter(equal, 0, 3, NR_IOCTL[os.uname().machine]),
        _Filter(load, 0, 0, 24),  # its second argument
        _Filter(equal, 0, 1, trapped),
        _Filter(answer, 0, 0, 0x7FC00000),  # SECCOMP_RET_USER_NOTIF
        allow,
    ]


def seccomp_listener(trapped=None):
    """The listener of a new filter round this thread, that lets everything through but that ioctl."""
    instructions = _instructions(trapped)
    program = _Program(len(instructions), (_Filter * len(instructions))(*instructions))
    number = NR_SECCOMP.get(os.uname().machine)
    if number is None:
        raise Skip("seccomp(2)'s number is not known for this architecture")
    _checked(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return _checked(
        _libc.syscall(
            ctypes.c_long(number),
            ctypes.c_ulong(SECCOMP_SET_MODE_FILTER),
            ctypes.c_ulong(SECCOMP_FILTER_FLAG_NEW_LISTENER),
            ctypes.byref(program),
        )
    )


def refuse_socket_option(level, option, error):
    """As a kernel that lacks it, for this process and what it executes."""
    numbers = NR_SOCKET_OPTIONS.get(os.uname().machine)
    if numbers is None:
        raise Skip("the calls' numbers are not known for this architecture")
    load, equal, answer = 0x20, 0x15, 0x06
    instructions = [
        _Filter(load, 0, 0, 0),  # the number of the call
        _Filter(equal, 1, 0, numbers[0]),
        _Filter(equal, 0, 4, numbers[1]),
        _Filter(load, 0, 0, 24),  # its second argument
        _Filter(equal, 0, 2, level),
        _Filter(load, 0, 0, 32),  # its third
        _Filter(equal, 1, 0, option),
        _Filter(answer, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
        _Filter(answer, 0, 0, 0x00050000 | error),  # SECCOMP_RET_ERRNO
    ]
    program = _Program(len(instructions), (_Filter * len(instructions))(*instructions))
    _checked(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    number = NR_SECCOMP[os.uname().machine]
    _checked(_libc.syscall(ctypes.c_long(number), ctypes.c_ulong(SECCOMP_SET_MODE_FILTER), ctypes.c_ulong(0), ctypes.byref(program)))


def fds_of(pid, path):
    """The numbers of a process's files that are that one."""
    found = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink("/proc/%d/fd/%s" % (pid, fd)) == path:
                found.append(int(fd))
    return found


def same_file(pid, fd, other):
    """Whether a process's file is the very one that this process has: opened once."""
    of_files = ctypes.c_int(0)
    pids = ctypes.c_int(pid), ctypes.c_int(os.getpid())
    number = ctypes.c_long(NR_KCMP[os.uname().machine])
    return _checked(_libc.syscall(number, *pids, of_files, ctypes.c_ulong(fd), ctypes.c_ulong(other))) == 0


def pidfd_getfd(pidfd, fd):
    return _checked(_libc.syscall(ctypes.c_long(NR_PIDFD_GETFD), ctypes.c_int(pidfd), ctypes.c_int(fd), ctypes.c_uint(0)))


def require_guest_memfd():
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        raise Skip("/dev/kvm: %s" % e.strerror) from None
    try:
        vm = ioctl(kvm, KVM_CREATE_VM, 0)
    except OSError as e:
        raise Skip("KVM_CREATE_VM: %s" % e.strerror) from None
    finally:
        os.close(kvm)
    offered = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD)
    os.close(vm)
    if offered <= 0:
        raise Skip("this kernel has no guest_memfd for VMs of the default type")


def require_root():
    if os.geteuid() != 0:
        raise Skip("only root can act as other users")


SO_PEERSEC = 31


def has_labels():
    """Whether a security module labels peers here."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        try:
            ours.getsockopt(socket.SOL_SOCKET, SO_PEERSEC, 256)
            return True
        except OSError:
            return False


def cgroup_path(pid):
    """In the unified hierarchy, or systemd's where there is none."""
    with open("/proc/%d/cgroup" % pid, encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    paths = {controllers: path for _, controllers, path in lines}
    return paths.get("", paths.get("name=systemd"))
