# SPDX-License-Identifier: LGPL-2.1-or-later
"""Says where below a prefix Python looks for modules; or where it would, were that its own prefix."""

import pathlib
import site
import sys

prefix = pathlib.Path(sys.argv[1])
# /usr/local is below /usr, and not what is meant by that.
below = [path for path in map(pathlib.Path, site.getsitepackages()) if prefix in path.parents]
if prefix == pathlib.Path("/usr"):
    below = [path for path in below if pathlib.Path("/usr/local") not in path.parents]
version = f"python{sys.version_info.major}.{sys.version_info.minor}"
print(below[0] if below else prefix / "lib" / version / "site-packages")
