# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other processes, of this or another user, that do what the test asks of them."""

import json
import os
import select
import signal
import socket
import traceback

from gmemtest import linux
from gmemtest.wire import Peer, RpcError


class Child:
    """A process that runs body(channel) and ends; channel speaks JSON values with the test."""

    def __init__(self, body, uid=None):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel = Channel(ours)
        self.pid = os.fork()
        if self.pid > 0:
            theirs.close()
            return
        status = 1
        try:
            ours.close()
            linux.die_with_parent()
            if uid is not None:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                linux.die_with_parent()  # the kernel forgets it when the user changes
            body(Channel(theirs))
            status = 0
        except EOFError:
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def ask(self, *question):
        self.channel.say(list(question))
        return self.channel.hear()

    def end(self):
        """Kills it and waits until it is gone."""
        if self.pid > 0:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Channel:
    def __init__(self, channel):
        self.socket = channel
        self.socket.settimeout(60)

    def say(self, value):
        self.socket.send(json.dumps(value).encode())

    def hear(self):
        packet = self.socket.recv(1 << 20)
        if not packet:
            raise EOFError
        return json.loads(packet)

    def close(self):
        self.socket.close()

    def serve(self, carry_out):
        """Answers each question by what carry_out(*question) returns or raises, until nobody asks any more."""
        while True:
            question = self.hear()
            try:
                self.say(["result", carry_out(*question)])
            except RpcError as e:
                self.say(["error", e.error])
            except EOFError:
                raise
            except Exception:
                self.say(["failed", traceback.format_exc()])


class RemotePeer(Child):
    """A peer in a process of its own, that forwards calls. Keeps the fds that it is sent."""

    def __init__(self, path, uid=None):
        super().__init__(lambda channel: _serve(channel, path), uid)

    def begin(self, *question):
        """Without waiting for what comes of it: see end_of()."""
        self.channel.say(list(question))

    def has_ended(self):
        """Whether what was begun has, within a millisecond."""
        return bool(select.select([self.channel.socket], [], [], 0.001)[0])

    def end_of(self):
        """The result of what was begun."""
        kind, value = self.channel.hear()
        if kind == "error":
            raise RpcError(value)
        if kind == "failed":
            raise AssertionError(value)
        return value

    def _answer(self, *question):
        self.begin(*question)
        return self.end_of()

    def call(self, method, params=None):
        return self._answer("call", method, params)

    def error(self, method, params=None):
        try:
            self.call(method, params)
        except RpcError as e:
            return e.error
        return None

    def gate(self, vm):
        """vm.gate with the listener of a filter round that process."""
        return self._answer("gate", vm, None)

    def events(self):
        return self._answer("events", None, None)

    def connects(self, path):
        """None, or the errno of the failure to connect there."""
        return self._answer("connect", path, None)


def _serve(channel, path):
    peer = Peer(path)
    channel.serve(lambda operation, name, params: _carry_out(peer, operation, name, params))


def _carry_out(peer, operation, name, params):
    if operation == "gate":
        return peer.call("vm.gate", {"vm": name, "listener": linux.seccomp_listener()})
    if operation == "events":
        peer.call("ping")
        return peer.events
    if operation == "connect":
        try:
            Peer(name).close()
            return None
        except OSError as e:
            return e.errno
    return peer.call_with_fds(name, params)[0]
