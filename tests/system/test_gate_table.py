#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VMM in another language puts up its gate by what the reference says, and nothing else."""

import ctypes
import errno
import json
import os
import struct

from gmemtest import linux, tap
from gmemtest.child import Child
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import check, equal, test
from gmemtest.vmm import Vmm

# Of classic BPF, linux/bpf_common.h: a word of the call's data, jumps, a masked accumulator, the end.
LD, JEQ, JGE, JGT, AND, RET = 0x20, 0x15, 0x35, 0x25, 0x54, 0x06
NR, ARCH = 0, 4
KILL_PROCESS = 0x80000000

daemon = None


def set_up():
    global daemon
    linux.require_guest_memfd()
    daemon = Daemon(gate="required")


def tear_down():
    daemon.stop()


def reference():
    path = os.path.join(os.environ["BUILD_DIR"], "kernel", "gmemd-gate.md")
    with open(path, encoding="utf-8") as file:
        return json.loads(file.read().partition("```json\n")[2].partition("```")[0])


def argument(index, upper=False):
    return 16 + 8 * index + 4 * upper


def rule_program(rule, table, areas):
    """Instructions, each of them (code, true, false, k); "next" is a jump to behind them."""
    program = []

    def need(code, k, true=True):
        program.append((code, 0 if true else "next", "next" if true else 0, k))

    if rule.get("other_architecture"):
        program.append((LD, 0, 0, ARCH))
        need(JEQ, table["architecture"], False)
    else:
        program.append((LD, 0, 0, NR))
        need(JGE, rule["first"])
        need(JGT, rule["last"], False)
    for wanted in rule["arguments"]:
        program.append((LD, 0, 0, argument(wanted["index"])))
        program.append((AND, 0, 0, wanted["mask"]))
        need(JEQ, wanted["value"])
    if rule["area"]:
        area = next(a for a in areas if a["request"] == rule["area"])
        program.append((LD, 0, 0, argument(2, upper=True)))
        need(JEQ, area["address"] >> 32)
        program.append((LD, 0, 0, argument(2)))
        need(JGE, area["address"] & 0xFFFFFFFF)
        need(JGT, (area["address"] + area["length"] - 1) & 0xFFFFFFFF, False)
        program.append((AND, 0, 0, area["stride"] - 1))
        need(JEQ, 0)
    program.append((RET, 0, 0, rule["action"]))
    return program


def assemble(table, areas):
    code = b""
    for rule in table["rules"]:
        program = rule_program(rule, table, areas)
        for at, (operation, true, false, k) in enumerate(program):
            behind = len(program) - at - 1
            code += struct.pack(
                "=HBBI", operation, behind if true == "next" else true, behind if false == "next" else false, k
            )
    # The last rule fits everything; the kernel wants to see an end all the same.
    return code + struct.pack("=HBBI", RET, 0, 0, KILL_PROCESS)


def install(table, areas):
    code = assemble(table, areas)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    check(libc.prctl(linux.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges")
    listener = libc.syscall(
        linux.NR_SECCOMP[os.uname().machine], linux.SECCOMP_SET_MODE_FILTER, ctypes.c_ulong(table["flags"]), program
    )
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


def refused(number, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return equal(error.errno, number, "errno")
    return check(False, "it is not refused")


def create_on_another_file(vmm):
    """That file's own ioctl refuses it. The entry is used, though, and free again by its report."""
    call = vmm.peer.call_with_fds("memory.create", {"vm": vmm.id, "size": PAGE})[0]["call"]
    another = vmm.fds[vmm.opened["mailbox"]["fd"]]
    refused(errno.ENOTTY, linux.ioctl, another, call["request"], call["address"])
    refused(errno.EPERM, linux.ioctl, vmm.vm_fd, call["request"], call["address"])
    vmm.report(call, 0, "ENOTTY")
    os.close(vmm.create(PAGE)[1])
    equal([memory["size"] for memory in vmm.get()["memories"]], [4 * PAGE, PAGE], "sizes of memories")


def be_a_vmm(channel):
    """In a child, for its gate is for good."""
    table = reference()
    vmm = Vmm(daemon.peer(), name="python", make=False, gate="required")
    areas = vmm.opened["mailbox"]["areas"]
    listener = install(table, areas)
    vmm.peer.call("vm.gate", {"vm": vmm.id, "listener": listener})
    os.close(listener)
    vmm.make()
    memory = vmm.create(4 * PAGE)
    vmm.bind(0, 0, 4 * PAGE, *memory)
    equal(vmm.get()["gate"], "active", "gate")
    equal([slot["state"] for slot in vmm.get()["slots"]], ["bound"], "slots")
    region = ctypes.create_string_buffer(160)
    for command in (0x40A0AE49, 0xC040AED4, 0x4020AED2, 0x4020AE46):
        refused(errno.EPERM, linux.ioctl, vmm.vm_fd, command, ctypes.addressof(region))
    refused(errno.EPERM, linux.ioctl, vmm.kvm(), linux.KVM_CREATE_VM, 0)
    refused(errno.EBUSY, install, table, areas)
    create_on_another_file(vmm)
    vmm.unbind(0)
    channel.say(tap.failures())


@test("a gate by the reference's table holds a VM, and nothing else")
def by_the_table():
    with Child(be_a_vmm) as child:
        equal(child.channel.hear(), [], "what the child has found wrong")


tap.main(set_up, tear_down)
