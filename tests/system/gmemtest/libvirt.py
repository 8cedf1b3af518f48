# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real libvirtd, in namespaces of the test's own, as nobody's service: without a network, D-Bus or machined."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile

from gmemtest import linux
from gmemtest.qemu import slurp, wait_until
from gmemtest.tap import Skip, need

SECONDS = 120
INSIDE = "GMEMD_TEST_INSIDE"
OWN = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
OWN += ["sh", "-c", '"$@"; exit $?', "sh"]  # the first process there, which waits for orphans
DIRECTORIES = ("/run", "/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt")
CONFIG = 'namespaces = [ ]\nsecurity_driver = "none"\nstdio_handler = "file"\n'
LOG = "/run/libvirtd.log"
HOOKS = "/etc/libvirt/hooks/qemu.d"
CGROUPS = "/sys/fs/cgroup"


def enter(path):
    """Has the test's program begin anew in the namespaces, where it may."""
    if os.geteuid() == 0 and INSIDE not in os.environ:
        os.environ[INSIDE] = "yes"
        os.execvp(OWN[0], [*OWN, sys.executable, os.path.abspath(path)])


def require():
    if not shutil.which("libvirtd") or not shutil.which("virsh"):
        raise Skip("libvirt is not installed")
    linux.require_root()


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def make_directories(config=CONFIG):
    """Its own, with that qemu.conf beside the one that is installed."""
    kept = "/etc/libvirt"
    before = tempfile.mkdtemp(prefix="gmemd-test-libvirt-")
    shutil.copytree(kept, before, dirs_exist_ok=True)
    for directory in DIRECTORIES:
        mount("-t", "tmpfs", "-o", "mode=755,dev", "tmpfs", directory)
    shutil.copytree(before, kept, dirs_exist_ok=True)
    shutil.rmtree(before)
    with open("/etc/libvirt/qemu.conf", "a", encoding="utf-8") as file:
        file.write(config)
    for directory in ("/run/libvirt", "/run/gmemd"):
        os.mkdir(directory)


def virsh(*words):
    """(its status, what it has said)."""
    how = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": SECONDS}
    ended = subprocess.run(["virsh", *words], check=False, **how)
    return ended.returncode, (ended.stdout + ended.stderr).strip()


def do(*words):
    status, said = virsh(*words)
    need(status == 0, "virsh %s: %s" % (" ".join(words), said))
    return said


def machine_cgroups():
    """Those below which libvirt has its machines, in each hierarchy."""
    found = [CGROUPS] + [os.path.join(CGROUPS, name) for name in os.listdir(CGROUPS)]
    return {path for path in (os.path.join(one, "machine") for one in found) if os.path.isdir(path)}


class CgroupsBefore:
    """Those that were there before the first of the tests that run beside each other, which all of them keep open."""

    def __init__(self):
        self.file = open(os.path.join(tempfile.gettempdir(), "gmemd-test-machine-cgroups"), "a+", encoding="utf-8")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.file.truncate(0)
            self.file.write("\n".join(machine_cgroups()))
            self.file.flush()
        except BlockingIOError:
            pass
        fcntl.flock(self.file, fcntl.LOCK_SH)
        self.file.seek(0)
        self.paths = set(self.file.read().split("\n"))

    def close(self):
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(self.file.name)
        except (BlockingIOError, FileNotFoundError):
            pass
        self.file.close()


class Libvirtd:
    """Runs until stop()."""

    def __init__(self):
        self.before = CgroupsBefore()
        self.start()

    def start(self):
        with open(LOG, "ab") as log:
            words = ["libvirtd", "--pid-file", "/run/libvirt/pid"]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: virsh("list")[0] == 0, "libvirtd: " + slurp(LOG))

    def stop(self):
        self.process.terminate()
        self.process.wait(SECONDS)

    def end(self):
        """And takes away the cgroups that it has left, empty, on the host."""
        self.stop()
        for path in machine_cgroups() - self.before.paths:
            try:
                os.rmdir(path)
            except OSError:
                pass  # another test's libvirtd has machines there
        self.before.close()
