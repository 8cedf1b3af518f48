# SPDX-License-Identifier: LGPL-2.1-or-later
"""Answers that nobody takes, and requests that wait for each other."""

import contextlib
import os
import select
import signal
import threading

from gmemtest.child import Child
from gmemtest.tap import check, equal
from gmemtest.wire import PACKET_BYTES, request
from hostile.attacker import BUSY, GONE, NOT_FOUND, PAGE, answers, code_of, memfd, misbehaviour, patiently, process

MIB = 1 << 20
OTHERS = 54403  # users


def fill(peer, packet):
    """Sends until the connection takes no more. Returns how many went."""
    peer.socket.setblocking(False)
    count = 0
    try:
        while count < 100000:
            peer.send(packet)
            count += 1
    except BlockingIOError:
        pass
    peer.socket.settimeout(60)
    return count


@misbehaviour("progress-unread")
def progress_unread(attacker):
    """A notification is not waited for; the answer comes when there is room."""
    vmm = attacker.vmm()
    deaf = attacker.peers(1)[0]
    memory = memfd(vmm, 64 * MIB // PAGE)
    deaf.send(request("memory.preallocate", {"memory": memory, "token": "deaf"}, "long"))
    sent = fill(deaf, request("host.describe"))
    attacker.lasts()
    found = [answer["id"] for answer in answers(deaf, sent + 1)]
    equal(found.count("long"), 1, "answers to the long one")


@misbehaviour("asks-behind-a-long-close")
def behind_a_close(attacker):
    vmm = attacker.vmm()
    memory = memfd(vmm, 256 * MIB // PAGE)
    vmm.peer.call("memory.preallocate", {"memory": memory})
    vmm.peer.send(request("memory.close", {"memory": memory}, "close"))
    sent = fill(vmm.peer, request("ping"))
    attacker.lasts()
    found = answers(vmm.peer, sent + 1)
    equal([answer["id"] for answer in found], ["close"] + [1] * sent, "in their order")
    equal(found[0]["result"], {"released": 256 * MIB}, "released")


@misbehaviour("subscribed-everywhere")
def subscribed_everywhere(attacker):
    vmm = attacker.vmm()
    deaf = [attacker.peer() for _ in range(attacker.limits["peers-per-user"] - 2)]
    for peer in deaf:
        peer.call("event.subscribe")
    vmm.peer.call("event.subscribe")
    while attacker.goes_on():
        for _ in range(50):
            vmm.peer.call("memory.close", {"memory": memfd(vmm)})
        vmm.peer.events.clear()
    for peer in deaf:
        peer.close()


def one_answer_each(peers, what, allowed):
    for peer in peers:
        [answer] = answers(peer, 1)
        code = answer["error"]["code"] if "error" in answer else 0
        check(code in allowed, "%s: %r" % (what, answer))
        equal(peer.call("ping"), {}, what + ": then a ping")


@misbehaviour("ends-one-thing-in-many-ways")
def ends_in_many_ways(attacker):
    """A memory and its VM, from several connections, at once."""
    main, others = attacker.peer(), attacker.peers(6)
    while attacker.goes_on():
        vm = main.call("vm.open", {"name": "at once", "gate": "none"})["vm"]
        params = {"vm": vm, "size": 16 * MIB, "backing": "memfd"}
        memory = patiently(main.call, "memory.create", params)["memory"]
        one, whole = {"memory": memory}, [{"offset": 0, "size": 16 * MIB}]
        packets = [request("memory.preallocate", one), request("memory.close", one)]
        packets += [request("memory.reclaim", dict(one, ranges=whole)), request("vm.close", {"vm": vm})]
        packets += [request("memory.close", one), request("vm.close", {"vm": vm})]
        for peer, packet in zip(others, packets):
            peer.send(packet)
        one_answer_each(others, "at once", (0, NOT_FOUND, GONE, BUSY))
        equal(code_of(main, "vm.get", {"vm": vm}), 0, "it is shown while its process has no other")


@misbehaviour("cancels-without-end")
def cancels(attacker):
    vmm = attacker.vmm()
    memory = memfd(vmm, 16 * MIB // PAGE)
    worker, canceller = attacker.peers(2)
    cancelled = 0
    while attacker.goes_on():
        worker.send(request("memory.preallocate", {"memory": memory, "token": "t"}, "long"))
        canceller.send([request("memory.cancel", {"token": token}, token) for token in ("t", "quiet", "")])
        answers(canceller, 1)
        [answer] = answers(worker, 1)
        equal(answer["id"], "long", "its answer")
        cancelled += bool(answer.get("result", {}).get("cancelled"))
        whole = [{"offset": 0, "size": 16 * MIB}]
        vmm.peer.call("memory.reclaim", {"memory": memory, "ranges": whole})
    attacker.note = "%d cancelled" % cancelled


@misbehaviour("batch-that-ends-what-it-waits-for")
def batch_waits(attacker):
    vmm = attacker.vmm()
    while attacker.goes_on():
        memory = memfd(vmm, 16 * MIB // PAGE)
        one = {"memory": memory}
        batch = [request("memory.preallocate", dict(one, token="t"), 1), request("memory.close", one, 2)]
        batch += [request("memory.cancel", {"token": "t"}, 3), request("memory.close", one, 4)]
        batch += [request("ping", number=5)]
        vmm.peer.send(batch)
        found = sorted(answer["id"] for answer in batch_answers(vmm.peer, len(batch)))
        equal(found, [1, 2, 3, 4, 5], "one answer to each")


def batch_answers(peer, count):
    """In however many packets they come."""
    found = []
    while len(found) < count:
        [message] = answers(peer, 1)
        found += message if isinstance(message, list) else [message]
    return found


def preallocates_for_ever(channel, attacker):
    """As many as it may, on as many connections, until it is refused for its user or the host."""
    vmm, peers, refused = attacker.vmm(), [], None
    memory = memfd(vmm, 256 * MIB // PAGE)
    while refused is None:
        peers += attacker.peers(1)
        peer = peers[-1]
        peer.send(request("memory.preallocate", {"memory": memory, "threads": 1}))
        if select.select([peer.socket], [], [], 0.1)[0]:
            [answer] = answers(peer, 1)
            refused = answer.get("error")
    channel.say(refused["data"].get("limit"))
    channel.hear()


class StoppedHelpers:
    """As where there is no memory for them, which a cgroup's owner can see to: all that are started until enough is set."""

    def __init__(self, daemon):
        self.daemon, self.enough, self.stopped = daemon, threading.Event(), {}
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.enough.is_set():
            for pid in self.daemon.helpers("gmemd-allocator"):
                if pid not in self.stopped:
                    self.stop(pid)

    def stop(self, pid):
        with contextlib.suppress(ProcessLookupError):
            self.stopped[pid] = os.pidfd_open(pid)
            signal.pidfd_send_signal(self.stopped[pid], signal.SIGSTOP)

    def kill(self):
        """One that was stopped before it could ask to end with gmemd, whose gmemd was killed, would stay."""
        for fd in self.stopped.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)


@misbehaviour("preallocations-that-never-end", by="several")
def endless_preallocations(attacker):
    helpers = StoppedHelpers(attacker.daemon)
    children, reached = [], []
    for user in range(2):
        for _ in range(2):
            child = Child(lambda channel: preallocates_for_ever(channel, attacker), OTHERS + user)
            children.append(child)
            reached.append(child.channel.hear())
    helpers.enough.set()
    helpers.thread.join()
    attacker.stays()
    for child in children:
        child.end()
    helpers.kill()
    attacker.note = "refused for %r" % reached


@misbehaviour("never-reports")
def never_reports(attacker):
    """As many creations as may wait, and nobody triggers one; then the next and the next VM."""
    attacker.need_calls()
    peer = attacker.peer()
    vm = peer.call("vm.open", {"name": "never", "gate": "none"})["vm"]
    count = 0
    while code_of(peer, "memory.create", {"vm": vm, "size": PAGE}) == 0:
        count += 1
    attacker.stays()
    equal(code_of(peer, "memory.create", {"vm": vm, "size": PAGE}), BUSY, "one more")
    views = peer.call("vm.get", {"vm": vm})
    equal((len(views["memories"]), len(views["calls"]), views["committed"]), (count, count, count * PAGE), "all wait")
    peer.call("vm.close", {"vm": vm})
    equal(peer.call("vm.get", {"vm": vm})["committed"], 0, "closed")


@misbehaviour("reads-nothing-and-dies")
def reads_nothing(attacker):
    """With as much in both directions as there can be."""

    def body(channel):
        vmm = attacker.vmm_with_memory()
        long = request("rpc.discover")
        channel.say([fill(peer, long) for peer in attacker.peers(8) + [vmm.peer]])
        channel.hear()

    while attacker.goes_on():
        with process(body) as child:
            child.channel.hear()


@misbehaviour("stopped-with-all-in-its-queue")
def stopped(attacker):
    def body(channel):
        vmm = attacker.vmm_with_memory()
        vmm.peer.call("event.subscribe")
        for peer in attacker.peers(8):
            fill(peer, request("memory.open", {"memory": vmm.memory}))
        channel.say("asked")
        os.kill(os.getpid(), signal.SIGSTOP)

    with process(body) as child:
        child.channel.hear()
        attacker.stays()


@misbehaviour("longest-packets-unread")
def longest_packets(attacker):
    """What is at the limit each, both ways."""
    text = b'{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}'
    packet = text + b" " * (PACKET_BYTES - len(text))
    peers = attacker.peers(attacker.limits["peers-per-user"] - 2)
    sent = [fill(peer, packet) for peer in peers]
    attacker.stays()
    attacker.note = "%d packets" % sum(sent)
    poll = select.poll()
    poll.register(peers[0].socket.fileno(), select.POLLIN)
    check(poll.poll(60000), "no answer has come")
