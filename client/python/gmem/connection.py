# SPDX-License-Identifier: LGPL-2.1-or-later
"""The connection to gmemd: JSON-RPC 2.0 in packets, files that come with them, events between answers."""

from __future__ import annotations

import array
import collections
import json
import os
import socket
import threading
from types import TracebackType
from typing import Any

from gmem import vm as vms
from gmem.errors import Gone, Refused

DEFAULT_SOCKET = "/run/gmemd/gmemd.sock"
PACKET_BYTES = 65536
PACKET_FDS = 16
TIMEOUT = 30.0  # seconds


def take_inherited_fd(variable: str) -> int | None:
    """What gmem-run has passed, which can be taken once."""
    text = os.environ.pop(variable, None)
    if text is None:
        return None
    fd = int(text)
    os.set_inheritable(fd, False)
    return fd


def connect(path: str | None = None, timeout: float | None = TIMEOUT) -> Connection:
    """Connects to gmemd's socket at path. None: the connection that gmem-run has passed if there is one, else
    /run/gmemd/gmemd.sock. timeout is how many seconds an answer may take; None: for ever."""
    fd = take_inherited_fd("GMEM_FD") if path is None else None
    if fd is not None:
        return Connection(socket.socket(fileno=fd), timeout, inherited=True)
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        peer.settimeout(timeout)
        peer.connect(path or DEFAULT_SOCKET)
    except OSError:
        peer.close()
        raise
    return Connection(peer, timeout)


def close_files(files: list[int]) -> None:
    while files:
        os.close(files.pop())


class Connection:
    """One connection. Use connect() to make it, and close(), or a with statement, to end it."""

    def __init__(self, peer: socket.socket, timeout: float | None = TIMEOUT, inherited: bool = False) -> None:
        peer.settimeout(timeout)
        self._peer = peer
        self._timeout = timeout
        self._inherited = inherited
        self._turn = threading.RLock()
        self._number = 0
        self._events: collections.deque[dict[str, Any]] = collections.deque()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Its VM lives on in gmemd until this process ends."""
        self._peer.close()

    def fileno(self) -> int:
        """Readable when an event waits: for select.poll() alone."""
        return self._peer.fileno()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a method; files that come with it are closed."""
        result, files = self.call_with_files(method, **params)
        close_files(files)
        return result

    def call_with_files(self, method: str, **params: Any) -> tuple[dict[str, Any], list[int]]:
        """The same, and the files, which are the caller's. In the result a file is its index among them."""
        with self._turn:
            self._number += 1
            self._send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
            while True:
                message, files = self._receive()
                if message.get("id") == self._number:
                    break
                close_files(files)
                self._keep(message)
        if "error" in message:
            close_files(files)
            raise Refused(message["error"])
        return message["result"], files

    def notify(self, method: str, **params: Any) -> None:
        """A request without an answer."""
        with self._turn:
            self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def subscribe(self) -> None:
        """From now on next_event() has gmemd's events."""
        self.call("event.subscribe")

    def next_event(self, timeout: float | None = None) -> dict[str, Any]:
        """The next event; waits for it, and other threads' calls wait as long. TimeoutError after so many seconds."""
        with self._turn:
            try:
                self._peer.settimeout(timeout)
                while not self._events:
                    message, files = self._receive()
                    close_files(files)
                    self._keep(message)
            finally:
                self._peer.settimeout(self._timeout)
            return self._events.popleft()

    def open_vm(self, name: str | None = None, **options: Any) -> vms.Vm:
        """This process's VM, which gmem-run has opened and put the gate round: then name and options are ignored. Else one
        without a gate, where gmemd's policy permits that; options as vm.open has them."""
        if self._inherited:
            report_fd = take_inherited_fd("GMEM_REPORT_FD")
            if report_fd is not None:
                os.close(report_fd)  # all is reported by call.done here
            return vms.inherit(self, take_inherited_fd("GMEM_KVM_FD"), take_inherited_fd("GMEM_MAILBOX_FD"))
        if name is None:
            raise ValueError("a VM needs a name, for gmem-run has not started this process")
        return vms.open_without_gate(self, name, options)

    def open_granted(self, memory: int) -> tuple[int, int]:
        """The file, which is the caller's, and the size of another process's memory that this one was granted."""
        result, files = self.call_with_files("memory.open", memory=memory)
        return files[result["fd"]], result["size"]

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._peer.send(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Gone("gmemd has ended the connection") from error

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        files = array.array("i")
        space = socket.CMSG_SPACE(PACKET_FDS * files.itemsize)
        try:
            packet, control, _, _ = self._peer.recvmsg(PACKET_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError as error:
            raise Gone("gmemd has ended the connection") from error
        for level, kind, data in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                files.frombytes(data[: len(data) - len(data) % files.itemsize])
        if not packet:
            raise Gone("gmemd has ended the connection")
        return json.loads(packet), list(files)

    def _keep(self, message: dict[str, Any]) -> None:
        if message.get("method") == "event":
            self._events.append(message["params"])
