# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a benchmark tells tests/bench/run, as bench_tell() and bench_rounds() of bench.h do."""

import json
import os


def rounds(usual):
    """GMEMD_BENCH_ROUNDS of the environment, where that is fewer."""
    fewer = int(os.environ.get("GMEMD_BENCH_ROUNDS", usual))
    return min(max(fewer, 1), usual)


def tell(work, subject, measure, unit, values):
    """The values of all rounds, to the file that GMEMD_BENCH_JSON names, if any."""
    path = os.environ.get("GMEMD_BENCH_JSON")
    if path:
        figure = {"work": work, "subject": subject, "measure": measure, "unit": unit, "values": list(values)}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(figure) + "\n")
