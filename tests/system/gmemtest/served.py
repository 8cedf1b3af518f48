# SPDX-License-Identifier: LGPL-2.1-or-later
"""A socket at which a test answers in gmemd's place what no gmemd would, or what it would of a host that is not here."""

import os
import socket
import tempfile
import threading


class Served:
    """It serves until stop(); serve(peer), of the class that is made of it, does so for one that has connected."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="gmemd-test-")
        self.path = os.path.join(self.directory, "admin.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        raise NotImplementedError

    def stop(self):
        self.listener.close()
        os.unlink(self.path)
        os.rmdir(self.directory)
