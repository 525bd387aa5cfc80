"""One subcommand a module: `configure(parser)` and `main(args) -> exit code`; what several share is in `shared`."""

COMMANDS = {
    "Look": {
        "list": "list tasks, optimizers, sweeps or datasets",
        "show": "show one task, optimizer, sweep, dataset or run",
        "plan": "what a sweep would run, what of it is done, what the rest will cost",
        "status": "where launched sweeps stand: what runs, what failed, what helps",
        "logs": "what a run said: its attempts, how each ended, its log",
        "leaderboard": "the board of a sweep: table, csv, wide, md, latex, json",
        "summary": "over all tasks: ranks, scores, times to a target, tuning budgets, good rates",
        "compare": "two rows of a board, task by task and over all tasks",
        "plot": "figures: curves, profiles, ranks, budget, rate, differences",
        "report": "the page: one HTML file of a sweep's board, curves, runs and verdicts",
        "power": "how many more seeds would decide it",
        "ledger": "the papers' numbers beside ours",
        "transfer": "how well settings chosen on other tasks do on each",
        "audit": "what is wrong with a store's claims, and the numbers that checklists ask for",
    },
    "Run": {
        "run": "train one task with one optimizer, here and now",
        "reproduce": "run a recorded run again, and compare digests",
        "skeptic": "try the best of each task again on fresh seeds: what is left of its lead?",
        "launch": "run all that is missing of a sweep, and follow it",
        "retry": "let runs that failed for good be tried again",
        "cancel": "ask a sweep's workers to stop; their runs are saved",
    },
    "Optimizers and tasks": {
        "new": "write a task, an optimizer or a sweep to begin with",
        "check": "prove that an optimizer or a task, yours too, is fit to be trained with",
        "decay": "convert a weight decay between its conventions",
        "toys": "reproduce the papers' toy figures",
    },
    "Care": {
        "data": "list, check, prepare, imitate (miniature) or substitute (standin) data sets",
        "export": "all records as Parquet files, or for TensorBoard, MLflow, W&B",
        "merge": "stores of several labs or clusters into one",
        "doctor": "check this machine and the store",
        "schema": "the JSON schema of sweep files, for editors",
        "completion": "the script by which a shell completes commands and names",
        "clean": "drop checkpoints and logs of finished runs",
        "forget": "move one run's record to the store's trash",
    },
}
"""Each command's file here, and what the help says of it, by group."""
