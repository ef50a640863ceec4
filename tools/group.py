"""Prints the requirements of pyproject.toml's dependency groups, one a line: `group.py build test`."""

import sys
import tomllib
from pathlib import Path

project = Path(__file__).parent.with_name("pyproject.toml")
groups = tomllib.loads(project.read_text(encoding="utf-8"))["dependency-groups"]
unknown = [name for name in sys.argv[1:] if name not in groups]
if unknown:
    sys.exit(f"no dependency group named {', '.join(unknown)}; there are {', '.join(groups)}")
print("\n".join(dict.fromkeys(requirement for name in sys.argv[1:] for requirement in groups[name])))
