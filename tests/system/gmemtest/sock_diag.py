# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which AF_UNIX socket is connected to which, see sock_diag(7)."""

import os
import socket
import struct

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
UDIAG_SHOW_PEER = 4
UNIX_DIAG_PEER = 2
UNIX_DIAG_REQUEST = struct.Struct("=BBHIIIII")
UNIX_DIAG_ANSWER = struct.Struct("=BBBBIII")


def _attributes(payload):
    """(type, bytes) of each attribute, see netlink(7)."""
    while len(payload) >= 4:
        length, kind = struct.unpack_from("=HH", payload)
        yield kind, payload[4:length]
        payload = payload[(length + 3) & ~3 :]


def _messages(sock):
    while True:
        packet = sock.recv(1 << 16)
        while packet:
            length, kind = struct.unpack_from("=IH", packet)
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                return
            yield packet[16:length]
            packet = packet[(length + 3) & ~3 :]


def unix_peers():
    """The inode of each AF_UNIX socket's peer, by its own; without a peer it is not there."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
    request = UNIX_DIAG_REQUEST.pack(socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, UDIAG_SHOW_PEER, 0, 0)
    header = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
    peers = {}
    with sock:
        sock.send(header + request)
        for message in _messages(sock):
            inode = UNIX_DIAG_ANSWER.unpack_from(message)[4]
            for kind, value in _attributes(message[UNIX_DIAG_ANSWER.size :]):
                if kind == UNIX_DIAG_PEER:
                    peers[inode] = struct.unpack("=I", value)[0]
    return peers


def sockets_of(processes):
    """Inodes of the sockets that these have."""
    inodes = set()
    for pid in processes:
        try:
            links = [os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)]
        except OSError:
            continue  # it has ended
        inodes.update(int(link[8:-1]) for link in links if link.startswith("socket:["))
    return inodes
