#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VM with memory, and no guest yet. Run it as: gmem-run --name=minimal -- ./minimal.py"""

import gmem

SIZE = 2 << 20


def main() -> None:
    with gmem.connect() as connection:
        vm = connection.open_vm()
        memory = vm.create_memory(SIZE, name="ram")
        view = memory.map()
        view[:4] = b"\xf4\xf4\xf4\xf4"  # HLT
        vm.bind(0, 0, memory, userspace_addr=gmem.address_of(view))
        told = vm.get()
        print(f"VM {told['name']}, gate {told['gate']}: {told['committed']} bytes, of which {told['resident']} are there")
        vm.unbind(0)
        memory.close()


if __name__ == "__main__":
    main()
