"""Draw the pictures of README and of the pages; run by ``make pictures``."""

from pathlib import Path

import draw_idea

import asyncsim as sim

HERE = Path(__file__).parent


def main() -> None:
    """Draw the idea; and a comparison and the life of one step, from the scenario in data/."""
    draw_idea.main()
    scenario = sim.Scenario.load(HERE.parent / "data" / "nightly_ledger.toml")
    strategies = [sim.Callback("50ms"), sim.Polling("1min"), sim.Polling("15min")]
    comparison = sim.compare(scenario, strategies, replications=5, seed=1)
    comparison.plot().savefig(HERE / "comparison.png", dpi=90)
    polling = comparison.run("polling 15 min")
    timeline = polling.plot_timeline("5_31", against=sim.Callback("50ms"))
    timeline.savefig(HERE / "timeline.png", dpi=90)


if __name__ == "__main__":
    main()
