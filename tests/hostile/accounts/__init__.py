# SPDX-License-Identifier: LGPL-2.1-or-later
"""Budgets and charges, kept a second time: what gmemd must say of them after each operation."""
