"""Checks, without importing torch, that the installed libtorch is the one that the engine was built for.

torch promises no binary compatibility between releases, so another version would crash, or worse, not crash.
"""

from importlib import metadata

REQUIRED = "2.13.0"

try:
    _found = metadata.version("torch")
except metadata.PackageNotFoundError:
    raise ImportError(f"knowmap needs torch {REQUIRED}, and torch is not installed; "
                      f"run: pip install torch=={REQUIRED}") from None
# "2.13.0+cpu" and "2.13.0+cu130" are builds of one release.
if _found.split("+")[0] != REQUIRED:
    raise ImportError(f"this knowmap was built for torch {REQUIRED}, but torch {_found} is installed; "
                      f"run: pip install torch=={REQUIRED}")
