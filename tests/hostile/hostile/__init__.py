# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers that misbehave, one by one, beside one that doesn't. The table of all is table.py; what each does is in the module of
its group."""
