"""python -P -m optathlon: the command line, as jobs start it."""

from optathlon.suite.main import console

if __name__ == "__main__":
    console()
