# SPDX-License-Identifier: LGPL-2.1-or-later
"""The wire as the contract describes it, with nothing but Python's own library."""

import array
import json
import os
import socket
import struct

PACKET_BYTES = 65536
PACKET_FDS = 16
SECONDS = 60


class Closed(Exception):
    """gmemd has ended the connection."""


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(json.dumps(error))
        self.error = error
        self.code = error["code"]
        self.data = error.get("data", {})


def encode(message):
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def request(method, params=None, number=1):
    message = {"jsonrpc": "2.0", "id": number, "method": method}
    if params is not None:
        message["params"] = params
    return message


def close_all(fds):
    for fd in fds:
        os.close(fd)


class Peer:
    """One connection. Answers come in order; events that come between them are kept."""

    def __init__(self, path, seconds=SECONDS):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A connect that does not block fails where others wait already, instead of waiting too.
        limit = struct.pack("ll", int(seconds), 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self.socket.connect(path)
        self.socket.settimeout(seconds)
        self.events = []
        self.number = 1000

    def close(self):
        self.socket.close()

    def send(self, packet):
        if not isinstance(packet, bytes):
            packet = encode(packet)
        return self.socket.send(packet)

    def receive(self):
        """The next packet as (message, fds). The caller owns the fds."""
        fds = array.array("i")
        space = socket.CMSG_SPACE(PACKET_FDS * fds.itemsize)
        packet, control, flags, _ = self.socket.recvmsg(
            PACKET_BYTES, space, socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, data in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise AssertionError("gmemd's packet is longer than the contract allows")
        if not packet:
            raise Closed()
        return json.loads(packet.decode("utf-8", "strict")), list(fds)

    def receive_answer(self):
        """The next packet that is no notification."""
        while True:
            message, fds = self.receive()
            method = message.get("method") if isinstance(message, dict) else None
            if method not in ("event", "progress"):
                return message, fds
            if method == "event":
                self.events.append(message["params"])

    def call_with_fds(self, method, params=None):
        """(result, fds that came with it). Raises RpcError."""
        self.number += 1
        self.send(request(method, params, self.number))
        answer, received = self.receive_answer()
        if answer.get("jsonrpc") != "2.0" or answer.get("id") != self.number:
            close_all(received)
            raise AssertionError("not the answer to %d: %r" % (self.number, answer))
        if "error" in answer:
            close_all(received)
            raise RpcError(answer["error"])
        return answer["result"], received

    def call(self, method, params=None):
        """The result of a method whose fds, if any, don't matter."""
        result, received = self.call_with_fds(method, params)
        close_all(received)
        return result

    def error(self, method, params=None):
        """The error that the method gives; None where it gives none."""
        try:
            self.call(method, params)
        except RpcError as e:
            return e.error
        return None
