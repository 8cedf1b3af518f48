#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints gmemd's next events, at the operators' socket: watch.py [NUMBER [SOCKET]]"""

import sys

import gmem


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    path = sys.argv[2] if len(sys.argv) > 2 else "/run/gmemd/admin.sock"
    with gmem.connect(path) as connection:
        connection.subscribe()
        print("subscribed", flush=True)
        for _ in range(number):
            event = connection.next_event()
            print(event["kind"], event.get("name", ""), flush=True)


if __name__ == "__main__":
    main()
