"""The draws by node hold what the draws hold by name."""

import numpy as np

import asyncsim as sim
from asyncsim.engine.graph import Call, Choose, Graph, Work
from asyncsim.engine.simulation import Numbers


def test_every_node_has_the_numbers_of_its_name():
    """Work, choices, responses and external times, link by link, stand at their node."""
    process = sim.Process(
        "p",
        [
            sim.Step("a", work=sim.exponential(1)),
            sim.Choice("c", [(0.5, [sim.AsyncStep("b", "chain")]), (0.5, [])]),
        ],
    )
    links = [sim.OnlineService(sim.exponential(k)) for k in (1, 2, 3)]
    scenario = sim.Scenario(
        name="s",
        process=process,
        systems={"chain": sim.Chain(links)},
        arrivals=sim.UniformArrivals(7),
    )
    draws, graph = scenario.draw(3), Graph.of(process)
    numbers = Numbers.of(draws, graph)
    assert numbers.arrivals == draws.arrivals.tolist()
    for k, node in enumerate(graph.nodes):
        if isinstance(node, Work):
            assert numbers.work[k] == draws.work["a"].tolist()
        elif isinstance(node, Choose):
            assert numbers.uniforms[k] == draws.choices["c"].tolist()
        elif isinstance(node, Call):
            assert numbers.uniforms[k] == draws.responses["b"].tolist()
            np.testing.assert_array_equal(numbers.times[k], draws.external["b"])
