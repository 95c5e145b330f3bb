"""`python -m student360`: the same as the command `student360`."""

import sys

from student360.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
