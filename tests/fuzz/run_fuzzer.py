#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs one of libFuzzer's programs from its seeds for FUZZ_SECONDS and reports as TAP. Without them, for 10, and always the
same inputs, as many as there is time for: what has passed passes again.

    run_fuzzer.py PROGRAM SEEDS KEPT

Inputs that reach something new stay in the folder KEPT, for the next time. One that something is wrong with is left there
as crash-…, and shown; it is to become a seed.
"""

import base64
import os
import pathlib
import re
import subprocess
import sys

SECONDS = int(os.environ.get("FUZZ_SECONDS", "10"))
SAME = [] if "FUZZ_SECONDS" in os.environ else ["-seed=1"]
SLOW = 20  # seconds for one input, under load
BYTES_SHOWN = 2000


def command(program, seeds, kept):
    dictionary = seeds.parent.parent / (seeds.name + ".dict")
    words = [program, *SAME, "-max_total_time=%d" % SECONDS, "-print_final_stats=1", "-timeout=%d" % SLOW]
    # Leaks are looked for at the end: json-c and stdio keep what they use again, of which libFuzzer would look each time.
    words += ["-rss_limit_mb=2048", "-detect_leaks=0", "-artifact_prefix=%s/" % kept]
    if dictionary.exists():
        words.append("-dict=%s" % dictionary)
    return words + [kept / "corpus", seeds]


def figures(output):
    executions = re.search(r"number_of_executed_units: (\d+)", output)
    features = re.findall(r"\bft: (\d+)", output)
    return "%s executions, %s features" % (executions[1] if executions else "?", features[-1] if features else "?")


def show_failure(output, kept, before):
    for line in output.splitlines()[-60:]:
        print("# " + line)
    for path in sorted(set(kept.glob("*-*")) - before):
        data = path.read_bytes()[:BYTES_SHOWN]
        print("# %s, in base64: %s" % (path, base64.b64encode(data).decode()))


def main():
    program, seeds, kept = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    (kept / "corpus").mkdir(parents=True, exist_ok=True)
    before = set(kept.glob("*-*"))
    print("TAP version 13\n1..1", flush=True)
    ended = subprocess.run(
        command(program, seeds, kept),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1"),
        timeout=SECONDS + 10 * SLOW,
    )
    output = ended.stdout.decode(errors="replace")
    print("%sok 1 - %s: %s" % ("not " if ended.returncode else "", program.name, figures(output)))
    if ended.returncode:
        show_failure(output, kept, before)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
