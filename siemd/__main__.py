"""python -m siemd: the same as the command siemd."""

import sys

from siemd.cli import main

sys.exit(main())
