# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can go wrong between a VMM and gmemd."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """gmemd has refused a request. Nothing has changed by it."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", ""))
        self.code: int = error.get("code", 0)
        self.data: dict[str, Any] = error.get("data") or {}
        self.reason: str = self.data.get("reason", "")


class Gone(ConnectionError):
    """gmemd has ended the connection."""
