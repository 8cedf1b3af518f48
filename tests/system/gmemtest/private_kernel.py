# SPDX-License-Identifier: LGPL-2.1-or-later
"""A kernel with private memory, pretended for gmemd and VMMs: see private_kernel.c."""

import os


def environment(frames=None):
    """frames: the path of a file with a byte for each guest frame, in which a VMM's conversions are noted."""
    module = os.path.join(os.environ["BUILD_DIR"], "tests", "system", "private_kernel.so")
    options = os.environ.get("ASAN_OPTIONS", "")
    variables = {"LD_PRELOAD": module, "ASAN_OPTIONS": options + ":verify_asan_link_order=0"}
    return dict(variables, PRIVATE_KERNEL_FRAMES=frames) if frames else variables
