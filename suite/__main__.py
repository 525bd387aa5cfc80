"""python -P -m suite: the command line, as jobs start it."""

import sys

from suite.main import main

if __name__ == "__main__":
    sys.exit(main())
