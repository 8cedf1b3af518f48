#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may include and link whom.

protocol and kernel know nothing of each other or of what is above; daemon and client never use each other; json-c is known to
protocol alone, libevent to daemon, client/exporter and client/libvirt, libvirt and expat to client/libvirt alone; kernel has no library but libc (and the macros of libbsd's tree); gmemd-keeper and
gmemd-taker each share with gmemd what they say to each other, the keeper how the service manager is told and what it has passed,
with one another and gmemd's other helper how privileges are given up, and no other file. Within kernel, daemon and client each
subject has a folder, a wing, and wings are in an order: none uses one that is above it. Each rule is checked in the sources'
includes and in the libraries' symbols.
"""

import os
import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["BUILD_DIR"])

MAY_INCLUDE = {
    "kernel": {"kernel"},
    "protocol": {"protocol"},
    "daemon": {"daemon", "protocol", "kernel"},
    "client": {"client", "protocol", "kernel"},
}
LIBRARY_HEADERS = {
    r"json-c/|json\.h$": {"protocol"},
    r"event2/": {"daemon", "client/exporter", "client/libvirt"},
    r"libvirt/": {"client/libvirt"},
    r"expat\.h$": {"client/libvirt"},
    r"systemd/": {"daemon"},
    r"seccomp\.h$": {"daemon"},
    r"bsd/": {"daemon", "kernel"},
    r"ini\.h$": {"daemon"},
    r"numa": {"daemon", "client/ctl/probe"},
    r"libsmartcols": {"client"},
}
LIBRARY_SYMBOLS = {
    r"json_(object|tokener|util)_": {"protocol"},
    r"(ev|evutil|event|evsignal)_(base|new|add|del|free|make)|^event_": {"daemon"},
    r"sd_": {"daemon"},
    r"numa_": {"daemon"},
    r"scols_": {"client"},
    r"vir[A-Z]|XML_": {"client/libvirt"},
}
ARCHIVES = {
    "kernel": "kernel/libgmemd-kernel.a",
    "protocol": "protocol/libgmemd-protocol.a",
    "daemon": "daemon/libgmemd-daemon.a",
    "client": "client/libgmemd-client.a",
}
# The wings of each, the lowest first: each may use those before it. What is in no folder is a wing of its own.
WINGS = {
    "kernel": ["base", "host", "store", "model", "kvm"],
    "daemon": [
        # What knows of no VM.
        "base", "config", "owner", "budget", "tenant", "allocator", "taker", "screener", "puncher", "keeper", "peerfd", "fdstore", "override", "pages", "grant",
        "reservation",
        # VMs, and what is told of them.
        "vm", "report",
        # What all share who are above.
        "gmemd.h",
        # What happens to VMs.
        "pressure", "request", "prealloc", "gate", "peer", "release", "methods", "start", "main.c",
    ],
    "client": ["gmem.h", "lib", "common", "shim", "run", "libvirt", "exporter", "ctl", "example"],
}
# More, and nobody finds anything in a folder.
FILES_IN_FOLDER_MAX = 25
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def includes(folder):
    for path in sorted((SOURCE / folder).rglob("*.[ch]")):
        for kind, name in INCLUDE.findall(path.read_text(encoding="utf-8")):
            yield path.relative_to(SOURCE), kind, name


def wrong_project_includes(folder):
    for path, kind, name in includes(folder):
        if kind == '"' and name.split("/")[0] not in MAY_INCLUDE[folder]:
            yield f"{path} includes {name}"


def wrong_library_includes(folder):
    for path, kind, name in includes(folder):
        for pattern, folders in LIBRARY_HEADERS.items():
            if kind == "<" and re.match(pattern, name) and not any(path.as_posix().startswith(known + "/") for known in folders):
                yield f"{path} includes <{name}>"


def symbols(folder):
    """What the folder's library defines and what it needs from elsewhere."""
    output = subprocess.run(
        ["nm", "-P", str(BUILD / ARCHIVES[folder])], check=True, capture_output=True, text=True
    ).stdout
    defined, undefined = set(), set()
    for line in output.splitlines():
        fields = line.split()
        if len(fields) >= 2 and len(fields[1]) == 1:
            (undefined if fields[1] in "Uwv" else defined).add(fields[0])
    return defined, undefined - defined


def wrong_project_symbols(folder, tables):
    for other in ARCHIVES:
        if other in MAY_INCLUDE[folder]:
            continue
        for name in sorted(tables[folder][1] & tables[other][0]):
            if not any(name in tables[allowed][0] for allowed in MAY_INCLUDE[folder]):
                yield f"the {folder} library needs {name} of {other}"


def wrong_library_symbols(folder, tables):
    for name in sorted(tables[folder][1]):
        for pattern, folders in LIBRARY_SYMBOLS.items():
            if re.match(pattern, name) and folder not in folders:
                if not any(name in tables[allowed][0] for allowed in MAY_INCLUDE[folder]):
                    yield f"the {folder} library needs {name}"


def wing_of(path):
    """The wing of daemon/vm/slot.c is vm, of daemon/main.c main.c."""
    return path.split("/")[1]


def runs_up(path, other):
    order = WINGS[path.split("/")[0]]
    return order.index(wing_of(other)) > order.index(wing_of(path))


def unknown_wings(folder):
    for path in sorted((SOURCE / folder).rglob("*.[ch]")):
        name = path.relative_to(SOURCE).as_posix()
        if wing_of(name) not in WINGS[folder]:
            yield f"{name} is in no wing that this test knows"


def includes_up(folder):
    for path, kind, name in includes(folder):
        if kind == '"' and name.startswith(folder + "/") and runs_up(path.as_posix(), name):
            yield f"{path} includes {name}"


def symbols_of_objects(folder):
    """What each source's object defines, and what it needs."""
    sources = {
        "_".join(path.relative_to(SOURCE / folder).parts) + ".o": path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / folder).rglob("*.c")
    }
    output = subprocess.run(
        ["nm", "-A", "-P", str(BUILD / ARCHIVES[folder])], check=True, capture_output=True, text=True
    ).stdout
    for line in output.splitlines():
        match = re.match(r".*\[(?:.*/)?([^/]+?)\]: (\S+) (\w)", line)
        if match and match[1] in sources:
            yield sources[match[1]], match[2], match[3]


def symbols_up(folder):
    objects = list(symbols_of_objects(folder))
    defined = {name: source for source, name, kind in objects if kind in "TDBRC"}
    if not defined:
        yield f"no symbols in {ARCHIVES[folder]}"
    for source, name, kind in objects:
        if kind == "U" and name in defined and runs_up(source, defined[name]):
            yield f"{source} needs {name} of {defined[name]}"


def crowded_folders():
    for folder in sorted({path.parent for top in (*ARCHIVES, "tests") for path in (SOURCE / top).rglob("*.c")}):
        count = len(list(folder.glob("*.c")))
        if count > FILES_IN_FOLDER_MAX:
            yield f"{folder.relative_to(SOURCE)} has {count} .c files"


def exported_symbols():
    """libgmem exports what its version script lists and its header declares, no more and no less."""
    listed = set(re.findall(r"\bgmem_\w+(?=;)", (SOURCE / "client/lib/libgmem.sym").read_text()))
    header = (SOURCE / "client/gmem.h").read_text()
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    declared = set(re.findall(r"\b(gmem_\w+)\(", header))
    output = subprocess.run(
        ["nm", "-D", "--defined-only", "-P", str(BUILD / "client/libgmem.so.0")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    exported = {line.split("@")[0].split()[0] for line in output.splitlines() if " A " not in line}
    for name in sorted(exported ^ listed):
        yield f"{name} is {'exported' if name in exported else 'listed'} but not {'listed' if name in exported else 'exported'}"
    for name in sorted(declared ^ listed):
        yield f"{name} is {'declared' if name in declared else 'listed'} but not {'listed' if name in declared else 'declared'}"


def needed_libraries(program):
    output = subprocess.run(
        ["readelf", "-d", str(BUILD / "daemon" / program)], check=True, capture_output=True, text=True
    ).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", output)


def wrong_helper(program, shared, libraries):
    """The program uses its own files, those that are named, the kernel's, and those libraries."""
    own = "daemon/" + program.removeprefix("gmemd-") + "/"
    for path, kind, name in includes(own):
        allowed = name in shared or name.startswith((own, "kernel/"))
        if kind == '"' and not allowed:
            yield f"{path} includes {name}"
    for name in needed_libraries(program):
        if not re.match(rf"lib(c|{libraries}|asan|ubsan|gcc_s)\.so", name):
            yield f"{program} needs {name}"


def wrong_keeper():
    shared = {"daemon/base/%s.h" % name for name in ("call_filter", "capabilities", "fd_packet", "listen_socket", "notify")}
    shared.add("daemon/config/config.h")
    return wrong_helper("gmemd-keeper", shared, "cap-ng|systemd|seccomp")


def wrong_taker():
    shared = {"daemon/base/call_filter.h", "daemon/base/capabilities.h", "daemon/base/fd_packet.h"}
    return wrong_helper("gmemd-taker", shared, "cap-ng|seccomp")


def takes_files_of_others():
    """gmemd-taker alone calls pidfd_getfd(2): by its name, or its number."""
    for folder in ("kernel", "protocol", "daemon", "client"):
        for path in sorted((SOURCE / folder).rglob("*.[ch]")):
            code = re.sub(r'/\*.*?\*/|"[^"\n]*"', "", path.read_text(), flags=re.DOTALL)
            if re.search(r"pidfd_getfd", code) and path.parts[-2:] not in (("taker", "taking.c"), ("taker", "confinement.c")):
                yield f"{path.relative_to(SOURCE)} calls it"
    for program in ("daemon/gmemd", "daemon/gmemd-keeper", "daemon/gmemd-allocator", "daemon/gmemd-taker"):
        output = subprocess.run(
            ["nm", "-D", "-P", str(BUILD / program)], check=True, capture_output=True, text=True
        ).stdout
        calls = re.search(r"^pidfd_getfd\b", output, re.MULTILINE) is not None
        if calls != program.endswith("-taker"):
            yield f"{program} {'calls' if calls else 'does not call'} it"


def main():
    tables = {folder: symbols(folder) for folder in ARCHIVES}
    checks = []
    for folder in ARCHIVES:
        checks.append((f"{folder}: includes of other folders", list(wrong_project_includes(folder))))
        checks.append((f"{folder}: includes of libraries", list(wrong_library_includes(folder))))
        checks.append((f"{folder}: symbols of other folders", list(wrong_project_symbols(folder, tables))))
        checks.append((f"{folder}: symbols of libraries", list(wrong_library_symbols(folder, tables))))
    for folder in WINGS:
        checks.append((f"{folder}: wings", list(unknown_wings(folder)) or list(includes_up(folder)) + list(symbols_up(folder))))
    checks.append((f"no folder with more than {FILES_IN_FOLDER_MAX} .c files", list(crowded_folders())))
    checks.append(("gmemd-keeper: files and libraries", list(wrong_keeper())))
    checks.append(("gmemd-taker: files and libraries", list(wrong_taker())))
    checks.append(("pidfd_getfd: gmemd-taker alone", list(takes_files_of_others())))
    checks.append(("libgmem: exported symbols", list(exported_symbols())))
    print(f"1..{len(checks)}")
    for number, (name, faults) in enumerate(checks, 1):
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        for fault in faults:
            print(f"# {fault}")
    return 1 if any(faults for _, faults in checks) else 0


if __name__ == "__main__":
    sys.exit(main())
