# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input: that it gets exactly one right error and leaves nothing behind."""

import itertools
import socket

from gmemtest.tap import check, equal
from gmemtest.wire import Closed, encode

REASONS = {
    -32700: "parse_error",
    -32600: "invalid_request",
    -32601: "method_not_found",
    -32602: "invalid_params",
    -32001: "not_found",
    -32002: "not_permitted",
    -32003: "budget_exceeded",
    -32004: "conflict",
    -32005: "unsupported",
    -32006: "kernel",
    -32007: ("busy", "limit"),
    -32008: "gone",
}

# What the contract promises of data besides the reason.
DATA = {
    -32602: ("param", "expected"),
    -32001: ("what", "id"),
    -32003: ("scope", "limit", "committed", "requested"),
    -32004: ("with",),
    -32005: ("capability", "kernel"),
    -32006: ("errno", "call"),
}

ANY = object()

_numbers = itertools.count(1)


class Watched:
    """A daemon seen through an operator's connection of its own, and one VM of this process."""

    def __init__(self, daemon, vmm):
        self.daemon = daemon
        self.vmm = vmm
        self.operator = daemon.operator()
        self.cases = 0

    def state(self):
        """What bad input must not change."""
        listed = self.operator.call("vm.list")
        return {
            "fds": self.daemon.fds(),
            "vms": listed,
            "vm": self.operator.call("vm.get", {"vm": self.vmm.id}),
            "host": self.host_committed(),
        }

    def host_committed(self):
        """No host has this much; its refusal says what is committed."""
        error = self.vmm.peer.error("memory.create", {"vm": self.vmm.id, "size": 1 << 62})
        if error is None or error["code"] != -32003:
            return error
        return error["data"]["committed"]

    def error(self, peer, packet, code, number=ANY, described=None, **data):
        """Sends the packet; checks that the answer is one such error and nothing has changed."""
        before = self.state()
        peer.send(packet)
        return self.one_error(peer, before, code, number, described or brief(packet), **data)

    def one_error(self, peer, before, code, number, described, **data):
        self.cases += 1
        error = None
        try:
            answer, received = peer.receive_answer()
            equal(received, [], described + ": fds with an error")
            error = check_error(answer, code, number, described, **data)
        except (socket.timeout, Closed) as e:
            check(False, "%s: no answer: %r" % (described, e))
        self.nothing_more(peer, before, described)
        return error

    def no_answer(self, peer, packet):
        before = self.state()
        peer.send(packet)
        self.cases += 1
        self.nothing_more(peer, before, brief(packet))

    def nothing_more(self, peer, before, what):
        """The next that the peer is told is the answer to its ping."""
        number = "ping %d" % next(_numbers)
        try:
            peer.send({"jsonrpc": "2.0", "id": number, "method": "ping"})
            answer, _ = peer.receive_answer()
            equal(answer, {"jsonrpc": "2.0", "id": number, "result": {}}, what + ": then ping")
        except (OSError, Closed) as e:
            check(False, "%s: then ping: %r" % (what, e))
        check(self.daemon.alive(), what + ": gmemd has ended")
        self.compare(before, what + ": what it left behind")

    def compare(self, before, what):
        """A file may be closed a moment after what was asked is answered, and gmemd opens some for a moment; none may be
        added."""
        equal(dict(self.state(), fds=None), dict(before, fds=None), what)
        check(self.daemon.fds_come_back(before["fds"]), what + ": fds")

    def refused(self, peer, method, params, code, **data):
        """The same for a request."""
        number = next(_numbers)
        packet = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        return self.error(peer, packet, code, number, **data)


def brief(packet):
    if not isinstance(packet, bytes):
        packet = encode(packet)
    return repr(packet) if len(packet) < 300 else "%r… (%d bytes)" % (packet[:200], len(packet))


def check_error(answer, code, number, described, **data):
    """Whether the answer is that error, whole; returns its error member."""
    if not isinstance(answer, dict) or "error" not in answer:
        check(False, "%s: no error: %r" % (described, answer))
        return None
    error = answer["error"]
    equal(sorted(answer), ["error", "id", "jsonrpc"], described + ": members")
    equal(answer.get("jsonrpc"), "2.0", described + ": jsonrpc")
    if number is not ANY:
        check(same(answer.get("id"), number), "%s: id %r" % (described, answer.get("id")))
    equal(sorted(error), ["code", "data", "message"], described + ": members of the error")
    equal(error.get("code"), code, "%s: code (%s)" % (described, error))
    told = error.get("data", {})
    check_reason(error, told, described)
    check(isinstance(error.get("message"), str) and error["message"], described + ": message")
    for name in DATA.get(code, ()):
        check(told.get(name) is not None, "%s: data has no %s: %r" % (described, name, told))
    for name, value in data.items():
        name = "with" if name == "with_" else name
        if callable(value):
            check(value(told.get(name)), "%s: data.%s (%s)" % (described, name, error))
            continue
        equal(told.get(name), value, "%s: data.%s (%s)" % (described, name, error))
    return error


def check_reason(error, told, described):
    """That of its code; what a limit promises besides."""
    reasons = REASONS.get(error.get("code"))
    reasons = reasons if isinstance(reasons, tuple) else (reasons,)
    check(told.get("reason") in reasons, "%s: reason %r" % (described, told.get("reason")))
    if told.get("reason") == "limit":
        equal(sorted(told), ["limit", "reason", "scope", "value"], described + ": data")
        check(told.get("scope") in ("vm", "user", "tenant", "host"), described + ": scope")


def limit(name, value, scope):
    """What data says of a limit."""
    return {"reason": "limit", "limit": name, "value": value, "scope": scope}


def same(a, b):
    """Equal, and of the same type: 1, 1.0 and true are three things."""
    return type(a) is type(b) and a == b
