# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files that gmemd has sent, and connections, in whatever state somebody can leave them."""

import array
import contextlib
import os
import socket

from gmemtest.tap import check, equal
from gmemtest.wire import close_all, request
from hostile.attacker import memfd, misbehaviour

ASKS = 16


def asks_for_files(peer, memory, count=ASKS):
    for number in range(count):
        peer.send(request("memory.open", {"memory": memory}, number))


@misbehaviour("cycle-of-connections")
def cycle_of_connections(attacker):
    """Connections with files in their queues, each in another's queue, and nobody has any open."""
    vmm = attacker.vmm_with_memory()
    while attacker.goes_on():
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        peers = attacker.peers(3)
        for peer in peers:
            asks_for_files(peer, vmm.memory, 4)
        socket.send_fds(left, [b"x"], [right.fileno()] + [peer.socket.fileno() for peer in peers])
        socket.send_fds(right, [b"x"], [left.fileno()])
        for one in peers + [left, right]:
            one.close()


@misbehaviour("half-closed")
def half_closed(attacker):
    vmm = attacker.vmm_with_memory()
    peers = []
    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        for _ in range(4):
            peer = attacker.peers(1)[0]
            asks_for_files(peer, vmm.memory)
            peer.socket.shutdown(how)
            peers.append(peer)
    attacker.stays()
    equal(len(peers), 12, "connections")


@misbehaviour("looks-and-takes-nothing")
def looks_and_takes_nothing(attacker):
    """A file that was looked at in the queue is there twice."""
    vmm = attacker.vmm_with_memory()
    peer = attacker.peers(1)[0]
    asks_for_files(peer, vmm.memory)
    while attacker.goes_on():
        fds = array.array("i")
        _, [(_, _, data)], _, _ = peer.socket.recvmsg(65536, socket.CMSG_SPACE(64), socket.MSG_PEEK)
        fds.frombytes(data)
        close_all(fds)
    for number in range(ASKS):
        message, fds = peer.receive_answer()
        close_all(fds)
        equal((message["id"], len(fds)), (number, 1), "what is taken then")


@misbehaviour("takes-files-one-by-one")
def takes_one_by_one(attacker):
    """As soon as each is there, and with many asked for: it gets all of them."""
    vmm, count = attacker.vmm_with_memory(), 0
    peers = attacker.peers(4)
    for peer in peers:
        asks_for_files(peer, vmm.memory)
    while attacker.goes_on():
        for peer in peers:
            close_all(peer.receive_answer()[1])
            asks_for_files(peer, vmm.memory, 1)
            count += 1
    attacker.note = "%d answers" % count


@misbehaviour("asks-and-closes")
def asks_and_closes(attacker):
    vmm = attacker.vmm_with_memory()
    count = 0
    while attacker.goes_on():
        peer = attacker.peer()
        with contextlib.suppress(ConnectionError):  # where it is one too many for now
            asks_for_files(peer, vmm.memory)
        peer.close()
        count += 1
    attacker.note = "%d connections" % count


@misbehaviour("files-on-every-connection")
def files_on_every_connection(attacker):
    """As many on their way as a user may have, and nobody takes them."""
    vmm = attacker.vmm_with_memory()
    peers = attacker.peers(attacker.limits["peers-per-user"] - 2)
    for peer in peers:
        asks_for_files(peer, vmm.memory)
    attacker.stays()
    for peer in peers:
        for _ in range(ASKS):
            message, fds = peer.receive_answer()
            close_all(fds)
            equal(len(fds), 1, "files of %r" % message.get("id"))


@misbehaviour("many-files-of-many-memories")
def many_files_of_many_memories(attacker):
    """Memories that are closed while their files are on their way."""
    vmm = attacker.vmm()
    while attacker.goes_on():
        [peer] = attacker.peers(1)
        memories = [memfd(vmm) for _ in range(8)]
        for number, memory in enumerate(memories):
            peer.send(request("memory.open", {"memory": memory}, number))
        for memory in memories:
            vmm.peer.call("memory.close", {"memory": memory})
        peer.close()


@misbehaviour("numbers-to-the-limit")
def numbers_to_the_limit(attacker):
    """Every number that a file can have, open or not."""
    vmm = attacker.vmm_with_memory()
    numbers = [-1, 0, 1, 2, 3, 255, 256, 1023, 1024, 65535, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 32, 1 << 63]
    while attacker.goes_on():
        for number in numbers:
            params = {"vm": vmm.id, "memories": [{"memory": vmm.memory, "fd": number}]}
            error = vmm.peer.error("vm.resume", params)
            if number != vmm.file:
                check(error and error["code"] == -32602, "number %d: %r" % (number, error))


@misbehaviour("silent-connections")
def silent_connections(attacker):
    """As many as a user may have, that say nothing; and as many again that are not let in."""
    count = attacker.limits["peers-per-user"]
    peers = [attacker.peer() for _ in range(2 * count)]
    attacker.stays()
    equal(len(peers), 2 * count, "connections")


@misbehaviour("sends-files-to-both-sockets")
def sends_files(attacker):
    peer = attacker.peers(1)[0]
    while attacker.goes_on():
        for count in (1, 16, 253):
            fds = [os.dup(0) for _ in range(count)]
            try:
                socket.send_fds(peer.socket, [b'{"jsonrpc":"2.0","id":1,"method":"ping"}'], fds)
                check(False, "files could be sent")
            except PermissionError:
                pass
            close_all(fds)
        equal(peer.call("ping"), {}, "afterwards")
