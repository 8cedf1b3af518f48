# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guest memory from gmemd, for VMMs in Python.

A VMM that is run by gmem-run(1), which has put the gate round it, opens its VM and gives it memory so:

    import gmem

    with gmem.connect() as connection:
        vm = connection.open_vm()
        memory = vm.create_memory(2 << 20, name="ram")
        view = memory.map()
        view[0:1] = b"\\xf4"
        vm.bind(0, 0, memory, userspace_addr=gmem.address_of(view))
        # KVM_CREATE_VCPU and so on, on vm.fd

Sizes, offsets and addresses are bytes; where memory is meant, multiples of the page size. What gmemd refuses is raised as Refused,
what the kernel refuses as OSError. A connection and what was made through it belong to one process; its calls take turns, so
several threads may use it. Unlike libgmem, this module connects to no gmemd anew: a restart of gmemd is not seen while
gmemd-keeper has the connection, and where that has died too, Gone is raised.

Any method of gmemd-protocol(7) is there as connection.call("METHOD", NAME=VALUE...).
"""

from gmem.connection import Connection, connect
from gmem.errors import Gone, Refused
from gmem.system import address_of
from gmem.vm import GuestRange, Memory, Vm

__all__ = ["Connection", "Gone", "GuestRange", "Memory", "Refused", "Vm", "address_of", "connect"]
