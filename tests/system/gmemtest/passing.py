# SPDX-License-Identifier: LGPL-2.1-or-later
"""A gmemd that is started as a service manager would, with sockets that are there before it."""

import fcntl
import os
import socket

from gmemtest.host import Host

NAMES = ("gmemd.sock", "admin.sock")


class Passing(Host):
    close_fds = False  # of what is executed, which is to have the sockets
    listeners = ()

    def spawn(self):
        if not self.listeners:
            self.listen()
        super().spawn()

    def listen(self):
        self.listeners = []
        os.makedirs(self.path, mode=0o755, exist_ok=True)
        for name in NAMES:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            listener.bind(self.socket_path(name))
            os.chmod(self.socket_path(name), 0o666)
            listener.listen(128)
            self.listeners.append(listener)

    def before_exec(self):
        super().before_exec()
        # Above the numbers that they are to have.
        copies = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 3 + len(self.listeners)) for one in self.listeners]
        for i, copy in enumerate(copies):
            os.dup2(copy, 3 + i, inheritable=True)
        os.environ.update(LISTEN_FDS=str(len(copies)), LISTEN_FDNAMES=":".join(NAMES), LISTEN_PID=str(os.getpid()))

    def close(self):
        for listener in self.listeners:
            listener.close()
