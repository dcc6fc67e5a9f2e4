"""`python -m daamkit.cli`, as `daamkit` in a shell."""

import sys

from daamkit.cli import main

sys.exit(main())
