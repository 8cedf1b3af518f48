# SPDX-License-Identifier: LGPL-2.1-or-later
"""The build's programs, where other users may run them."""

import atexit
import os
import pathlib
import shutil
import stat
import tempfile


def _others_may_enter(folder):
    return all(one.stat().st_mode & stat.S_IXOTH for one in [folder, *folder.parents])


def let_others_run_them():
    """From then on BUILD_DIR is a folder that every user may enter: a copy of gmemd and what is beside it, if need be."""
    build = pathlib.Path(os.environ["BUILD_DIR"]).resolve()
    if _others_may_enter(build):
        return
    copy = pathlib.Path(tempfile.mkdtemp(prefix="gmemd-test-"))
    atexit.register(_remove, copy, os.getpid())
    copy.chmod(0o755)
    (copy / "daemon").mkdir()
    for path in (build / "daemon").iterdir():
        if path.is_file() and os.access(path, os.X_OK):
            shutil.copy(path, copy / "daemon")
    os.environ["BUILD_DIR"] = str(copy)


def _remove(folder, owner):
    if os.getpid() == owner:
        shutil.rmtree(folder)
