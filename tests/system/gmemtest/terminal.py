# SPDX-License-Identifier: LGPL-2.1-or-later
"""A terminal of the test's own, and what a program shows there: by pyte, Debian's python3-pyte."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from gmemtest.tap import Failed, Skip

SECONDS = 60


def require():
    try:
        import pyte  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise Skip("there is no pyte, of Debian's package python3-pyte") from error
    return pyte


class Terminal:
    def __init__(self, command, columns, rows, **environment):
        pyte = require()
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", "LC_ALL": "C.UTF-8", **environment})
            self._set_size(0, columns, rows)
            os.execv(command[0], command)
        self._set_size(self.fd, columns, rows)

    @staticmethod
    def _set_size(fd, columns, rows):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        self._set_size(self.fd, columns, rows)
        os.kill(self.pid, signal.SIGWINCH)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def _read(self, seconds):
        """False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += data
        self.stream.feed(data)
        return bool(data)

    def _drain(self):
        """A view comes in pieces: what is between them is none."""
        while select.select([self.fd], [], [], 0.05)[0] and self._read(0):
            pass

    def until(self, condition, what):
        """The lines, once they are so."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self._drain()
            if condition(self.lines()):
                return self.lines()
            if not self._read(0.1):
                break
        raise Failed("%s:\n%s" % (what, "\n".join(self.lines())))

    def press(self, keys):
        os.write(self.fd, keys if isinstance(keys, bytes) else keys.encode())

    def ended(self):
        """How it ends; a negative signal."""
        end = time.monotonic() + SECONDS
        while self._read(0.1) and time.monotonic() < end:
            pass
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        raise Failed("it does not end:\n%s" % "\n".join(self.lines()))

    def kill(self):
        """If it has not ended."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)
            self.pid = 0
