#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clarity: each bad input gets one error that names the field and the reason and leaves nothing.

Which methods and parameters there are is asked of gmemd itself, so that none is forgotten.
"""

import itertools
import json
import os
import socket

from gmemtest import linux, schema, tap
from gmemtest.daemon import Daemon
from gmemtest.linux import PAGE
from gmemtest.tap import Skip, check, equal, need, note, test
from gmemtest.unchanged import Watched, check_error
from gmemtest.vmm import Vmm
from gmemtest.wire import PACKET_BYTES, PACKET_FDS, Closed, encode

MEMORY_PAGES = 16
BACKEND = os.environ.get("BACKEND", "auto")

daemon = vmm = watched = operator = None
memory = memory_fd = None
methods = {}


def set_up():
    global daemon, vmm, watched, operator, memory, memory_fd
    if BACKEND != "model":
        linux.require_guest_memfd()
    daemon = Daemon(backend=BACKEND)
    vmm = Vmm(daemon.peer(), "bad input")
    memory, memory_fd = vmm.create(MEMORY_PAGES * PAGE, name="ram")
    vmm.bind(0, 0, PAGE, memory, memory_fd)
    operator = daemon.operator()
    for method in operator.call("rpc.discover")["methods"]:
        methods[method["name"]] = method
    watched = Watched(daemon, vmm)


def need_calls():
    if BACKEND == "model":
        raise Skip("the model leaves no call to be reported")


def tear_down():
    if watched:
        note("%d bad inputs" % watched.cases)
    vmm.close_files()
    os.close(memory_fd)
    daemon.stop()


def peers_of(method):
    """The connections on which the method may be called."""
    sockets = methods[method]["x-sockets"]
    return [
        peer
        for name, peer in (("gmemd.sock", vmm.peer), ("admin.sock", operator))
        if name in sockets
    ]


def valid_params(method):
    """Parameters with which nothing is wrong; they are never sent as they are."""
    vm = {"vm": vmm.id}
    known = {
        "ping": {},
        "host.describe": {},
        "rpc.discover": {},
        "event.subscribe": {},
        "vm.open": {"name": "another"},
        "vm.gate": {"vm": vmm.id, "listener": 0},
        "vm.list": {},
        "vm.get": vm,
        "vm.close": vm,
        "memory.create": {"vm": vmm.id, "size": PAGE},
        "memory.open": {"memory": memory},
        "memory.close": {"memory": memory},
        "memory.preallocate": {"memory": memory},
        "memory.cancel": {"token": "none"},
        "memory.grant": {"memory": memory, "to": {"uid": 54321}},
        "memory.reclaim": {"memory": memory, "ranges": [{"offset": 0, "size": PAGE}]},
        "slot.bind": vmm.bind_params(5, 1 << 32, PAGE, memory, memory_fd, PAGE),
        "slot.unbind": {"vm": vmm.id, "slot": 0},
        "memory.convert": {
            "vm": vmm.id,
            "to": "private",
            "ranges": [{"guest_phys_addr": 0, "size": PAGE}],
        },
        "call.done": {"vm": vmm.id, "call": 1, "done": 1},
    }
    if method in known:
        return dict(known[method])
    # A method that this test has not heard of: whatever its schema accepts.
    return {p["name"]: filler(p["schema"]) for p in methods[method]["params"] if p["required"]}


def filler(of):
    kinds = of.get("type", "object")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind == "string":
        return of["enum"][0] if "enum" in of else "x" * max(1, of.get("minLength", 1))
    if kind == "integer":
        return max(of.get("minimum", 0), of.get("multipleOf", 0))
    if kind == "array":
        return [filler(of.get("items", {}))] * of.get("minItems", 0)
    if kind == "object":
        properties = of.get("properties", {})
        return {name: filler(properties[name]) for name in of.get("required", [])}
    return False


# Literals, as JSON writes them: every type, every edge of the integers, sizes and their neighbours.
LITERALS = (
    ['"text"', '""', '"1"', "0", "1", "7", "0.5", "1.0", "-1", "-0.0", "-9223372036854775808"]
    + ["-9223372036854775809", "null", "[]", "[1]", "[null]", '["bogus"]', "{}", '{"a":1}']
    + ["true", "false", "2147483647", "2147483648", "4294967295", "4294967296", "1e3", "4096e0"]
    + ["9223372036854775807", "9223372036854775808", "18446744073709551615"]
    + ["18446744073709551616", "99999999999999999999999999999999", "1e400", "-1e400"]
    + [str(PAGE - 1), str(PAGE + 1), str((1 << 63) - PAGE), str((1 << 63) - PAGE - 1)]
    + [str((1 << 63) + PAGE), str((1 << 64) - PAGE), '["mmap","mmap"]', '"mmap"', '[["mmap"]]']
    + ['"shared "', '"REQUIRED"', '"123e4567-e89b-12d3-a456-42661417400"']
    + ['"123e4567-e89b-12d3-a456-4266141740000"', '"g23e4567-e89b-12d3-a456-426614174000"']
    + ['"123e4567e89b12d3a456426614174000"', '"' + "x" * 129 + '"', '"' + "\u00e4" * 65 + '"']
    + ['"\\u0001"', '"a\\nb"', '"\\u001f"', '"\\u007f"', '"\\u0080"', '"a\\u009f"', '"\u0085"']
    + ['"' + "x" * 60000 + '"']
)


def accepts(parameter, literal):
    """Whether the value is one that the parameter's description allows."""
    of = parameter["schema"]
    value = json.loads(literal)
    if isinstance(value, float):
        return False  # an integer is written as one
    if schema.faults_of(value, of):
        return False
    if of.get("x-fd"):
        return 0 <= value < 1 << 31  # what it is is asked when all else is right
    if isinstance(value, str):
        return len(value.encode()) <= of.get("maxLength", 1 << 20) and printable(value)
    return True


def names(parameter, literal):
    """The param of the error: the parameter's name, or its item's or member's where it is of one."""
    name = parameter["name"]
    of = parameter["schema"]
    value = json.loads(literal)
    if isinstance(value, dict) and of.get("type") == "object":
        return lambda told: told.startswith(name + ".")
    if not isinstance(value, list) or of.get("items", {}).get("type") != "object":
        return name
    if not of["minItems"] <= len(value) <= of["maxItems"]:
        return name
    return lambda told: told.startswith(name + "[0]")


def printable(text):
    return not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text)


def packet_with(method, params, name, literal, number):
    """The request as text, so that the literal stays as it is."""
    members = [json.dumps(n) + ":" + json.dumps(v) for n, v in params.items() if n != name]
    members.append(json.dumps(name) + ":" + literal)
    text = '{"jsonrpc":"2.0","id":%d,"method":"%s","params":{%s}}'
    return (text % (number, method, ",".join(members))).encode()


numbers = itertools.count(1)


@test("every method refuses a parameter that it does not know")
def unknown_parameters():
    names = ["bogus", "", "VM", " vm", "x" * 300, "\u00e4\u20ac\U0001f600" * 20, '"\\' * 40, "a\nb"]
    for method in methods:
        for peer in peers_of(method):
            for name in names:
                params = dict(valid_params(method), **{name: 1})
                error = watched.refused(peer, method, params, -32602)
                told = error["data"].get("param") if error else None
                check(told is not None and name.startswith(told), "%s: %r" % (method, told))


@test("every method refuses to do without a parameter that it requires")
def missing_parameters():
    for method, description in methods.items():
        for parameter in description["params"]:
            if not parameter["required"]:
                continue
            params = valid_params(method)
            del params[parameter["name"]]
            for peer in peers_of(method):
                watched.refused(peer, method, params, -32602, param=parameter["name"])


@test("every parameter refuses what its description does not allow")
def wrong_values():
    for method, description in methods.items():
        for parameter in description["params"]:
            name = parameter["name"]
            refused = [one for one in LITERALS if not accepts(parameter, one)]
            need(len(refused) > 20, "%s.%s accepts nearly all" % (method, name))
            for literal, peer in itertools.product(refused, peers_of(method)):
                number = next(numbers)
                packet = packet_with(method, valid_params(method), name, literal, number)
                watched.error(
                    peer, packet, -32602, number, param=names(parameter, literal)
                )


@test("parameters that are no object")
def params_of_other_types():
    for method in methods:
        for peer in peers_of(method):
            watched.refused(peer, method, [], -32602, param="params")
            watched.refused(peer, method, [valid_params(method)], -32602, param="params")
            for other in (None, 1, "x", True, 0.5):
                watched.refused(peer, method, other, -32600)


@test("every method of the other socket is not permitted")
def other_socket():
    for method in methods:
        allowed = peers_of(method)
        for peer in (vmm.peer, operator):
            if peer not in allowed:
                watched.refused(peer, method, valid_params(method), -32002)
                watched.refused(peer, method, {"bogus": 1}, -32002)


@test("strings that are no text are no JSON")
def strings_that_are_none():
    bodies = [b"\x80", b"\xff", b"\xc3", b"\xc3(", b"\xc0\x80", b"\xe0\x80\xaf", b"\xed\xa0\x80"]
    bodies += [b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82", b"a\x00b", b"\n", b"\x1f"]
    bodies += [b"\\u0000", b"a\\u0000b", b"\\x41", b"\\u12", b"\\"]
    packet = b'{"jsonrpc":"2.0","id":1,"method":"vm.open","params":{"name":"%s"}}'
    in_name = b'{"jsonrpc":"2.0","id":1,"method":"vm.get","params":{"vm%s":"x"}}'
    for body in bodies:
        for template in (packet, in_name):
            watched.error(vmm.peer, template % body, -32700, None)


@test("packets that are no JSON")
def no_json():
    ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    packets = [b"", b" ", b"\0", ping + b"\0", ping + b"x", ping + b"}", ping + ping, ping + b" 1"]
    packets += [b"\xef\xbb\xbf" + ping, b"\xff\xfe", ping.decode().encode("utf-16"), b"nope"]
    packets += [ping.replace(b'"', b"'"), b"//\n" + ping, b"/* */" + ping, ping[:-1], ping[1:]]
    packets += [ping.replace(b"1", number) for number in (b"NaN", b"-", b"Infinity", b"-Infinity")]
    packets += [ping.replace(b"1", number) for number in (b"01", b"+1", b".5", b"1.", b"0x1", b"1e")]
    packets += [ping.replace(b"1", b"[" * n + b"]" * n) for n in (16, 17, 5000)]
    packets += [b"[" * 60000, b"{" * 60000, b'"' * 60001, b'{"a":' * 13000, b"]", b"}", b"[1,]", b"{,}"]
    packets += [b'{"jsonrpc":"2.0","id":1,"method":"ping",}', b'{"jsonrpc":"2.0" "id":1}']
    packets += [b"null", b"tru", b"True", b'{jsonrpc:"2.0"}', b"\x80" * 100, os.urandom(60000)]
    for packet in packets:
        watched.error(vmm.peer, packet, -32700, None)
        watched.error(operator, packet, -32700, None)


@test("JSON that is no request")
def no_requests():
    rows = [(one, None) for one in (b"1", b'"ping"', b"true", b"1.5", b"{}")]
    rows += [
        (b'{"jsonrpc":"2.0","id":5}', 5),
        (b'{"id":5,"method":"ping"}', 5),
        (b'{"jsonrpc":"1.0","id":5,"method":"ping"}', 5),
        (b'{"jsonrpc":2.0,"id":5,"method":"ping"}', 5),
        (b'{"jsonrpc":null,"id":5,"method":"ping"}', 5),
        (b'{"jsonrpc":"2.0 ","id":5,"method":"ping"}', 5),
        (b'{"jsonrpc":"2.0","method":7}', None),
        (b'{"jsonrpc":"2.0","params":{}}', None),
        (b'{"jsonrpc":"2.0","id":5,"result":{}}', 5),
        (b'{"jsonrpc":"2.0","id":5,"error":{"code":1,"message":"x"}}', 5),
        (b'{"jsonrpc":"2.0","id":"","result":{}}', ""),
    ]
    for method in (b"7", b"null", b"[]", b"{}", b"true", b"1.5"):
        rows.append((b'{"jsonrpc":"2.0","id":5,"method":' + method + b"}", 5))
    for number in (b"[]", b"{}", b"[1]", b"true", b"false", b'"' + b"x" * 255 + b'"', b"1" * 257):
        rows.append((b'{"jsonrpc":"2.0","method":"ping","id":' + number + b"}", None))
    # What can't be said back as it was is refused and not said back as another.
    edges = (b"18446744073709551615", b"18446744073709551616", b"-9223372036854775808")
    for number in edges + (b"-9223372036854775809", b"9" * 40):
        rows.append((b'{"jsonrpc":"2.0","method":"ping","id":' + number + b"}", None))
    for packet, number in rows:
        watched.error(vmm.peer, packet, -32600, number)
        watched.error(operator, packet, -32600, number)


@test("methods that there are not")
def unknown_methods():
    for name in ("", "Ping", "ping ", "vm", "vm.", "vm.open.x", "rpc.", "x" * 60000, "\u00e4\u20ac" * 99):
        error = watched.error(
            vmm.peer, {"jsonrpc": "2.0", "id": 5, "method": name}, -32601, 5
        )
        check(error and name.startswith(error["data"].get("method", "-")), repr(error))


@test("ids come back as they were")
def ids():
    texts = ["0", "-0", "1", "-1", "1.5", "-7", "1e3", "1E+2", "9007199254740993", '""', '"a"']
    texts += ["9223372036854775807", "-9223372036854775807", "18446744073709551614", "null"]
    texts += ['"\u00e4\u20ac"', '"\\n\\u0001"', '"' + "x" * 254 + '"', '"\\"\\\\"']
    for text in texts:
        vmm.peer.send(('{"jsonrpc":"2.0","method":"ping","id":%s}' % text).encode())
        answer, _ = vmm.peer.receive_answer()
        wanted = json.loads(text)
        equal(answer.get("result"), {}, text)
        check(type(wanted) is type(answer["id"]) and wanted == answer["id"], "%s: %r" % (text, answer))
    # Two requests with one id are two requests; two ids of one request are none.
    vmm.peer.send(b'{"jsonrpc":"2.0","id":8,"method":"ping"}')
    vmm.peer.send(b'{"jsonrpc":"2.0","id":8,"method":"ping"}')
    for _ in range(2):
        equal(vmm.peer.receive_answer()[0]["id"], 8, "the same id twice")
    vmm.peer.send(b'{"jsonrpc":"2.0","id":8,"id":9,"method":"ping"}')
    answer = vmm.peer.receive_answer()[0]
    equal((answer["id"], answer["error"]["code"]), (None, -32700), "two ids")
    watched.nothing_more(vmm.peer, watched.state(), "ids")


@test("packets up to the limit and past it")
def long_packets():
    start, end = b'{"jsonrpc":"2.0","id":5,"method":"ping","x":"', b'"}'

    def packet(length):
        return start + b"x" * (length - len(start) - len(end)) + end

    for peer in (vmm.peer, operator):
        peer.send(packet(PACKET_BYTES))
        equal(peer.receive_answer()[0].get("result"), {}, "exactly the limit")
        for length in (PACKET_BYTES + 1, 70000, 200000):
            error = watched.error(peer, packet(length), -32600, None, limit=PACKET_BYTES)
            check(error and str(PACKET_BYTES) in error["message"], "the limit in the message")
        watched.error(peer, b" " * PACKET_BYTES, -32700, None)
        watched.error(peer, b"[" + b"1," * 32000 + b"1]", -32600, None)


@test("an empty packet is no end of the connection")
def empty_packets():
    before = watched.state()["fds"]
    peer = daemon.peer()
    peer.call("ping")
    for _ in range(3):
        watched.error(peer, b"", -32700, None)
    peer.close()
    check(daemon.fds_come_back(before), "fds")


@test("batches")
def batches():
    watched.error(vmm.peer, b"[]", -32600, None)
    one = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    watched.error(vmm.peer, [one] * 65, -32600, None, limit=64)
    watched.error(vmm.peer, [dict(one, id=None)] * 1200, -32600, None, limit=64)
    vmm.peer.send([dict(one, id=i) for i in range(64)])
    answer, _ = vmm.peer.receive_answer()
    equal([a["id"] for a in answer], list(range(64)), "a batch of 64, in its order")
    # Notifications alone get no answer, right or wrong.
    note_ping = {"jsonrpc": "2.0", "method": "ping"}
    watched.no_answer(vmm.peer, [note_ping] * 3)
    watched.no_answer(vmm.peer, [note_ping, dict(note_ping, method="nope")])


@test("a batch of good and bad gets an answer to each that wants one")
def mixed_batch():
    before = watched.state()
    vmm.peer.send(
        [
            {"jsonrpc": "2.0", "id": 1, "method": "ping"},
            {"jsonrpc": "2.0", "method": "ping"},
            {"jsonrpc": "2.0", "id": 2, "method": "nope"},
            7,
            [],
            {"jsonrpc": "2.0", "id": 3, "method": "vm.get", "params": {"vm": 1}},
            {"jsonrpc": "2.0", "id": "4", "method": "memory.open", "params": {"memory": memory}},
            {"jsonrpc": "2.0", "id": 5, "method": "vm.open", "params": {"name": "x", "gate": "none"}},
            {"jsonrpc": "2.0", "id": {}, "method": "ping"},
            {"jsonrpc": "2.0", "id": None, "method": "ping"},
            {"jsonrpc": "2.0", "id": 6, "method": "rpc.discover"},
            {"jsonrpc": "2.0", "method": "memory.create", "params": {"vm": vmm.id, "size": 1}},
        ]
    )
    answers, fds = vmm.peer.receive_answer()
    equal(fds, [], "fds")
    expected = [(1, 0), (2, -32601), (None, -32600), (None, -32600), (3, -32602), ("4", -32600)]
    expected += [(5, -32600), (None, -32600), (None, 0), (6, -32600)]
    got = [(a["id"], a.get("error", {}).get("code", 0)) for a in answers]
    equal(got, expected, "ids and codes")
    for one in answers:
        if "error" in one:
            check_error(one, one["error"]["code"], one["id"], "in a batch")
    watched.nothing_more(vmm.peer, before, "a mixed batch")


def not_in_a_batch():
    """The methods that answer with files, and the one whose answer has no room there."""
    with_files = [name for name, method in methods.items() if '"x-fd"' in json.dumps(method["result"])]
    return with_files + ["rpc.discover"]


@test("in a batch, the longest error is still the right one")
def long_errors_in_a_batch():
    before = watched.state()
    number = '"' * 127
    requests = []
    for method in methods:
        params = {'"\\' * 32: 1}
        requests.append({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
    vmm.peer.send(requests)
    answers, _ = vmm.peer.receive_answer()
    for method, answer in zip(methods, answers):
        if vmm.peer in peers_of(method):
            code = -32600 if method in not_in_a_batch() else -32602
            check_error(answer, code, number, method + " in a batch")
    equal(len(answers), len(methods), "answers")
    watched.nothing_more(vmm.peer, before, "long errors")


@test("notifications get no answer, whatever is wrong with them")
def notifications():
    watched.no_answer(vmm.peer, {"jsonrpc": "2.0", "method": "ping"})
    watched.no_answer(vmm.peer, {"jsonrpc": "2.0", "method": "nope"})
    for method in methods:
        for peer in peers_of(method):
            packet = {"jsonrpc": "2.0", "method": method, "params": {"bogus": 1}}
            watched.no_answer(peer, packet)
    params = {"vm": vmm.id, "call": 1 << 40, "done": 1}
    watched.no_answer(vmm.peer, {"jsonrpc": "2.0", "method": "call.done", "params": params})
    watched.no_answer(
        vmm.peer, {"jsonrpc": "2.0", "method": "memory.open", "params": {"memory": memory}}
    )


@test("fd parameters")
def fd_parameters():
    fd_params = [
        (method, parameter)
        for method, description in methods.items()
        for parameter in description["params"]
        if parameter["schema"].get("x-fd")
    ]
    need(len(fd_params) >= 2, "vm.gate and call.done have one")
    for method, parameter in fd_params:
        literals = [str(i) for i in (1 << 31, (1 << 32) - 1, 1 << 32, (1 << 64) - 1)]
        literals += ["-1", "0.0", "0.5", '"0"', "[0]", "{}", "true", "null"]
        for literal in literals:
            number = next(numbers)
            packet = packet_with(method, valid_params(method), parameter["name"], literal, number)
            check(not accepts(parameter, literal), literal)
            watched.error(vmm.peer, packet, -32602, number, param=parameter["name"])


@test("names: what is text is accepted")
def good_names():
    names = ["\u00e4\u20ac\U0001f600", "x" * 128, "\u00e4" * 64, "\u00a0", " ", '"\\/', "'", "{}"]
    for name in names:
        params = {"vm": vmm.id, "size": PAGE, "backing": "memfd", "name": name}
        created = vmm.peer.call("memory.create", params)
        seen = [m["name"] for m in vmm.get()["memories"] if m["memory"] == created["memory"]]
        equal(seen, [name], "as it was created")
        vmm.peer.call("memory.close", {"memory": created["memory"]})


@test("sizes that no memory has")
def sizes():
    for size in (0, 1, PAGE - 1, PAGE + 1, 3 * PAGE // 2, (1 << 63) - 1, 1 << 63, (1 << 64) - PAGE):
        params = {"vm": vmm.id, "size": size}
        watched.refused(vmm.peer, "memory.create", params, -32602, param="size")
        watched.refused(
            vmm.peer, "memory.create", dict(params, backing="memfd"), -32602, param="size"
        )
    largest = next(
        p["schema"]["maximum"]
        for p in methods["memory.create"]["params"]
        if p["name"] == "size"
    )
    watched.refused(
        vmm.peer,
        "memory.create",
        {"vm": vmm.id, "size": largest},
        -32003,
        scope="host",
        requested=largest,
        committed=MEMORY_PAGES * PAGE,
    )


@test("slots: what only makes sense with a memory, or only without")
def slot_combinations():
    def refused(param, code=-32602, **changes):
        params = dict(vmm.bind_params(9, 1 << 33, PAGE, memory, memory_fd, PAGE), **changes)
        data = {} if code != -32602 else {"param": param}
        watched.refused(vmm.peer, "slot.bind", params, code, **data)

    refused("guest_memfd_offset", memory=None)
    refused("userspace_addr", memory=None, guest_memfd=None, guest_memfd_offset=0, userspace_addr=0)
    refused("guest_memfd", guest_memfd=None)
    refused("flags", flags=["readonly"])
    refused("flags", flags=["log_dirty_pages"])
    refused("guest_memfd_offset", guest_memfd_offset=MEMORY_PAGES * PAGE)
    refused("guest_memfd_offset", guest_memfd_offset=1 << 62)
    refused("memory_size", memory_size=MEMORY_PAGES * PAGE)
    refused("memory_size", memory_size=0)
    refused("slot", slot=0xFFFF)
    refused("slot", slot=0xFFFFFFFF)
    refused("slot", slot=1 << 31)
    refused("memory", -32001, memory=memory + 12345)
    refused("shared_memory", -32602, shared_memory=memory)
    refused("shared_memory", -32001, shared_memory=1)
    refused("shared_memory", -32602, memory=None, guest_memfd_offset=0, shared_memory=memory)
    refused("shared_offset", -32602, shared_offset=PAGE)
    created = vmm.peer.call("memory.create", {"vm": vmm.id, "size": PAGE, "backing": "memfd"})
    refused("memory", memory=created["memory"], guest_memfd_offset=0)
    vmm.peer.call("memory.close", {"memory": created["memory"]})


@test("a memfd has no flags")
def memfd_flags():
    params = {"vm": vmm.id, "size": PAGE, "backing": "memfd", "flags": ["mmap"]}
    watched.refused(vmm.peer, "memory.create", params, -32602, param="flags")


@test("a report that does not fit its call is refused, and the call waits on")
def reports():
    need_calls()
    size = 3 * PAGE
    call = vmm.peer.call("memory.create", {"vm": vmm.id, "size": size})["call"]
    memfd = os.memfd_create("same size")
    os.ftruncate(memfd, size)

    def refused(param, code=-32602, **report):
        params = dict({"vm": vmm.id, "call": call["id"]}, **report)
        data = {"param": param} if code == -32602 else {"with_": param}
        watched.refused(vmm.peer, "call.done", params, code, **data)

    refused("done", done=2)
    refused("errno", done=0)
    refused("errno", done=0, errno="ENONSENSE")
    refused("errno", done=0, errno="einval")
    refused("errno", done=1, errno="EINVAL")
    refused("fd", done=1)
    refused("fd", done=0, errno="EINVAL", fd=memory_fd)
    refused("fd", done=1, fd=memfd)
    refused("fd", done=1, fd=0)
    refused("fd", done=1, fd=memory_fd)
    refused("fd", done=1, fd=vmm.vm_fd)
    done, fd, _ = vmm.trigger(call)
    equal(done, 1, "the creation itself")
    refused("fd", done=1, fd=memfd)
    vmm.report(call, 1, fd=fd)
    again = {"vm": vmm.id, "call": call["id"], "done": 1}
    error = watched.refused(vmm.peer, "call.done", again, -32001)
    equal(error["data"].get("what"), "call", "what is not there")
    created = max(m["memory"] for m in vmm.get()["memories"])
    vmm.peer.call("memory.close", {"memory": created})
    os.close(fd)
    os.close(memfd)


@test("a guest_memfd that gmemd has is no new one")
def same_file_twice():
    need_calls()
    other, other_fd = vmm.create(2 * PAGE)
    call = vmm.peer.call("memory.create", {"vm": vmm.id, "size": 2 * PAGE})["call"]
    params = {"vm": vmm.id, "call": call["id"], "done": 1, "fd": other_fd}
    watched.refused(vmm.peer, "call.done", params, -32004, with_="memory")
    vmm.report(call, 0, "EINVAL")
    vmm.peer.call("memory.close", {"memory": other})
    os.close(other_fd)


@test("a slot's report carries no fd")
def slot_reports():
    need_calls()
    params = vmm.bind_params(9, 1 << 33, PAGE, memory, memory_fd, PAGE)
    call = vmm.peer.call("slot.bind", params)["call"]
    report = {"vm": vmm.id, "call": call["id"], "done": 1, "fd": memory_fd}
    watched.refused(vmm.peer, "call.done", report, -32602, param="fd")
    vmm.report(call, 0, "EEXIST")


@test("cursors that are none")
def cursors():
    for method, params in (("vm.list", {}), ("vm.get", {"vm": vmm.id})):
        for peer in peers_of(method):
            for cursor in ("x", "vm", "vm:", "vm:x", "slot:", "memory:-1", "vm:-1", "vm: 1", "slot:+1"):
                given = dict(params, cursor=cursor)
                watched.refused(peer, method, given, -32602, param="cursor")
            for cursor in ("slot:1x", "vm:1 ", "vm:99999999999999999999999", "memory:0x1", "vm:1:2"):
                given = dict(params, cursor=cursor)
                watched.refused(peer, method, given, -32602, param="cursor")


@test("a peer that goes in the middle leaves nothing")
def vanishing():
    before = watched.state()
    for packet in (b"", b"{", encode({"jsonrpc": "2.0", "id": 1, "method": "rpc.discover"})):
        for _ in range(20):
            peer = daemon.peer()
            peer.send(packet)
            peer.close()
    for _ in range(20):
        peer = daemon.peer()
        peer.socket.shutdown(socket.SHUT_WR)
        try:
            peer.receive()
            check(False, "an answer to nothing")
        except Closed:
            pass
        peer.close()
    check(daemon.fds_come_back(before["fds"]), "fds")
    watched.compare(before, "what is left")


if __name__ == "__main__":
    tap.main(set_up, tear_down)
