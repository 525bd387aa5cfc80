"""python -P -m suite: the command line, as jobs start it."""

from suite.main import console

if __name__ == "__main__":
    console()
