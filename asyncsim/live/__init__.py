"""A scenario that runs on a clock, with people and programs finishing its steps.

Begin with `session.Session`, the public face. An input (`journal.Finish`, `RetryInput`, …) passes
`Session.apply`, is played and recorded in one transaction (`journaled_simulation`), and dispatched
to the simulation of each strategy (`live_simulation.StrategyTwins`), whose waits are records
(`records`) in one SQLite file (`store`, `locks`). `open` starts, resumes and replays sessions;
`endpoint`, `http_server` and `rest` serve them.
"""
