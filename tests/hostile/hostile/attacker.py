# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a misbehaviour is written with: the process that it runs in, and what it may start from there."""

import contextlib
import os
import select
import signal
import time

from gmemtest.child import Child
from gmemtest.linux import PAGE
from gmemtest.host import busy_passes, wait_until
from gmemtest.tap import Failed, check, need
from gmemtest.vmm import Vmm
from gmemtest.wire import Closed, Peer, RpcError, request

BUSY, NOT_FOUND, GONE, INVALID_PARAMS = -32007, -32001, -32008, -32602

bodies = {}


def misbehaviour(name, by="hostile"):
    """Registers what the row of that name in the table does. By "bounded": by the user of a tenant that may have little.
    By "several": that is root's, who starts users' processes, and the quiet peer is served only once it goes on."""

    def register(function):
        if name in bodies:
            raise Failed("two misbehaviours have the name " + name)
        function.by = by
        bodies[name] = function
        return function

    return register


class Attacker:
    """A process of another user's, that goes on misbehaving until the quiet peer has been served meanwhile."""

    def __init__(self, stage, channel):
        self.channel, self.path, self.admin_path = channel, stage.path, stage.admin_path
        self.on_model, self.victim = stage.on_model, stage.victim
        self.limits, self.bounds, self.note = stage.limits, stage.bounds, ""
        self.daemon = stage.daemon  # to look at, as root
        self.begun = self.ended = False

    def goes_on(self, idle=False):
        """False once the quiet peer has been served often enough. idle: this one asks for nothing meanwhile."""
        if not self.begun:
            self.begun = True
            self.channel.say(["begun", idle])
        if not self.ended and select.select([self.channel.socket], [], [], 0)[0]:
            self.channel.hear()
            self.ended = True
        return not self.ended

    def stays(self):
        """As it is now, until the quiet peer has been served; it has gmemd do nothing."""
        while self.goes_on(idle=True):
            select.select([self.channel.socket], [], [], 60)

    def lasts(self):
        """The same, while gmemd has something to do for it."""
        while self.goes_on():
            select.select([self.channel.socket], [], [], 60)

    def peer(self):
        return PatientPeer(self.path)

    def peers(self, count):
        """Connections that are let in, once there is room, and not only accepted."""
        return [patiently(self.served_peer) for _ in range(count)]

    def served_peer(self):
        peer = self.peer()
        peer.call("ping")
        return peer

    def vmm(self, name="hostile", **options):
        """This process's one VM, of a type that has private memory where there is one."""
        if self.on_model:
            options.setdefault("type", "sw_protected")
        return Vmm(self.peer(), "%s of %d" % (name, os.getpid()), **options)

    def vmm_with_memory(self, pages=16, **options):
        vmm = self.vmm(**options)
        vmm.memory, vmm.file = patiently(vmm.create, pages * PAGE)
        return vmm

    def is_released(self, pid, name="hostile"):
        """Whether that process's VM ends by itself: its name is free then. This process has no VM."""
        peer = self.peer()
        params = {"name": "%s of %d" % (name, pid), "gate": "none"}
        free = eventually(lambda: code_of(peer, "vm.open", params) == 0)
        if free:
            [vm] = peer.call("vm.list")["vms"]
            peer.call("vm.close", {"vm": vm["vm"]})
        peer.close()
        return free

    def need_model(self):
        if not self.on_model:
            raise Unsuitable("KVM has no private memory here: the model's suite has this")

    def need_calls(self):
        if self.on_model:
            raise Unsuitable("the model leaves no call to be triggered: KVM's suite has this")


class PatientPeer(Peer):
    """Asks again where it is told when to: the keeper may be late where the machine is busy."""

    def call_with_fds(self, method, params=None):
        return busy_passes(super(), method, params)


class Unsuitable(Exception):
    """It can't be done with this back end; says why."""


def patiently(function, *arguments):
    """What is closed counts until gmemd has closed it as well, a moment after it has said so."""
    until = time.monotonic() + 60
    while True:
        try:
            return function(*arguments)
        except (Closed, ConnectionError):
            need(time.monotonic() < until, "no connection is let in")
        except RpcError as e:
            if e.data.get("limit") != "memories-per-user" or time.monotonic() > until:
                raise


def memfd(vmm, pages=1, **options):
    """The id of a memory that is there at once, whatever the back end is; its file is closed."""
    params = dict({"vm": vmm.id, "size": pages * PAGE, "backing": "memfd"}, **options)
    return patiently(vmm.peer.call, "memory.create", params)["memory"]


def ranges(*pages):
    return [{"offset": first * PAGE, "size": count * PAGE} for first, count in pages]


def guest_ranges(*pages):
    return [{"guest_phys_addr": first * PAGE, "size": count * PAGE} for first, count in pages]


def eventually(condition):
    return wait_until(condition, 60)


def code_of(peer, method, params=None):
    """0, or the code of the error."""
    error = peer.error(method, params)
    return error["code"] if error else 0


def refused(peer, method, params, *codes, why=None):
    """One of these errors, and no other answer."""
    got = code_of(peer, method, params)
    return check(got in codes, "%s of %r: %r" % (why or method, brief(params), got))


def brief(value):
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "…"


def answers(peer, count):
    """The next so many answers, whose files are closed."""
    found = []
    for _ in range(count):
        message, fds = peer.receive_answer()
        for fd in fds:
            os.close(fd)
        found.append(message)
    return found


def pause_of(answer):
    """Seconds after which gmemd is to be asked again; None: it has answered."""
    error = answer.get("error", {})
    pause = error.get("data", {}).get("retry_after_ms") if error.get("code") == BUSY else None
    return None if pause is None else pause / 1000


def answers_at_last(asked):
    """To [(peer, request)], which are sent all at once, in the order in which they come; what gmemd puts off is asked again
    when it says."""
    found = []
    while asked:
        for peer, packet in asked:
            peer.send(packet)
        came = [(one, answers(one[0], 1)[0]) for one in asked]
        found += [answer for _, answer in came if pause_of(answer) is None]
        asked = [one for one, answer in came if pause_of(answer) is not None]
        time.sleep(max((pause_of(answer) or 0 for _, answer in came), default=0))
    return found


def send_all(peer, requests):
    """[(method, params)], numbered from 0, without waiting for answers. They must fit the connection's queue."""
    for number, (method, params) in enumerate(requests):
        peer.send(request(method, params, number))


def pump(attacker, peers, make_packet):
    """Each asks again as soon as it is answered, until all is enough. Returns how many answers there were."""
    poll = select.epoll()
    by_fd = {peer.socket.fileno(): peer for peer in peers}
    for fd, peer in by_fd.items():
        poll.register(fd, select.EPOLLIN)
        peer.send(make_packet())
    count = 0
    while attacker.goes_on() or count < len(peers):
        for fd, _ in poll.poll(1):
            answers(by_fd[fd], 1)
            count += 1
            by_fd[fd].send(make_packet())
    attacker.note = "%d answers" % count
    return count


@contextlib.contextmanager
def process(body, *arguments):
    """body(channel, *arguments) in another process of the attacker's; it is gone behind this."""
    with Child(lambda channel: body(channel, *arguments)) as child:
        yield child


def hear(child, expected, what):
    need(child.channel.hear() == expected, what)


def wait_for_death(child, number=signal.SIGKILL):
    """Of a process that kills itself."""
    _, status = os.waitpid(child.pid, 0)
    child.pid = 0
    check(os.WIFSIGNALED(status) and os.WTERMSIG(status) == number, "it ended with %d" % status)
