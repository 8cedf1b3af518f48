# SPDX-License-Identifier: LGPL-2.1-or-later
"""A gmemd and its keeper that are killed and started again, while VMMs go on."""

import os
import signal
import subprocess
import threading
import time

from gmemtest.daemon import Daemon
from gmemtest.wire import RpcError

SECONDS = 60


class Host(Daemon):
    def kill(self):
        """gmemd alone, at once."""
        self.process.kill()
        self.process.wait()

    def restart(self, alone=True):
        """gmemd, which the keeper survives; alone: as start() has it."""
        self.kill()
        self.start(alone)

    def restart_amid(self, seconds, work):
        """While work() goes on, in a thread: gmemd ends with the thread that has started it."""
        failures = []

        def run():
            try:
                work()
            except BaseException as e:  # noqa: B902
                failures.append(e)

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(seconds)
        self.kill()
        self.start(alone=False)
        thread.join()
        if failures:
            raise failures[0]

    def end(self):
        """gmemd alone, in its own time."""
        self.process.terminate()
        return self.process.wait(SECONDS)

    def run_another(self):
        """A second one in its place: its exit status."""
        with open(self.log_path, "ab") as log:
            another = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stderr=log)
        return another.wait(SECONDS)

    def lose_all(self):
        """Both at once: gmemd must not start another keeper meanwhile."""
        os.kill(self.pid, signal.SIGSTOP)
        self.kill_keepers()
        self.restart()


def wait_until(condition, seconds=SECONDS):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


def busy_passes(peer, method, params):
    """A call that is repeated while gmemd says so."""
    while True:
        try:
            return peer.call_with_fds(method, params)
        except RpcError as e:
            if e.code != -32007 or "retry_after_ms" not in e.data:
                raise
            time.sleep(e.data["retry_after_ms"] / 1000)
