"""``python -m repro.cli``: the command line from a plain checkout, with its folder on PYTHONPATH."""

import sys

from repro.cli import main

sys.exit(main())
