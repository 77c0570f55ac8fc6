"""Draw the pictures of README; run by ``make pictures``."""

from pathlib import Path

import draw_idea

import asyncsim as sim

HERE = Path(__file__).parent


def main() -> None:
    """Draw the idea, and a comparison of strategies for the scenario in data/."""
    draw_idea.main()
    scenario = sim.Scenario.load(HERE.parent / "data" / "nightly_ledger.toml")
    strategies = [sim.Callback("50ms"), sim.Polling("1min"), sim.Polling("15min")]
    comparison = sim.compare(scenario, strategies, replications=5, seed=1)
    comparison.plot().savefig(HERE / "comparison.png")


if __name__ == "__main__":
    main()
