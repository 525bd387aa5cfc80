"""Workers: they take the next free run, fork a process for it, and write down how it ended."""
