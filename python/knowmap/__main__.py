"""`python -m knowmap` is the command `knowmap`."""

import sys

from knowmap.cli import main

sys.exit(main())
