"""Every process is laid out as nodes that know what comes next."""

import pytest
from hypothesis import given, settings
from scenarios import scenarios
from thorough import times

from asyncsim.engine.graph import (
    DONE,
    FAILED,
    STANDS,
    Await,
    Call,
    Choose,
    Fork,
    Graph,
    Join,
    Work,
)
from asyncsim.model.loops import ForEach, Repeat, Retry
from asyncsim.model.process import AsyncStep, Choice, Parallel, Process, Step


def laid_out(*steps, **more):
    return Graph.of(Process("p", list(steps), **more))


def trail(graph, index):
    """Return the names met when always going on to `next`, and how it ends."""
    names = []
    while index >= 0:
        names.append(graph.nodes[index].name)
        index = graph.nodes[index].next
    return [*names, {DONE: "done", FAILED: "failed"}[index]]


def by_name(graph, name, kind):
    (found,) = [n for n in graph.nodes if n.name == name and isinstance(n, kind)]
    return found


def ways_out(node):
    """Return every index a node may lead to."""
    found = [node.next]
    if isinstance(node, Call):
        found += [node.on_accepted, node.on_done, node.on_rejected, node.on_timeout]
    if isinstance(node, (Choose, Fork)):
        found += node.heads
    return found


def test_steps_follow_each_other_as_written():
    """A, B, C are gone through in this order, and then the instance is done."""
    graph = laid_out(Step("a"), AsyncStep("b", "x"), Step("c"))
    assert trail(graph, graph.start) == ["a", "b", "c", "done"]


def test_the_paths_of_a_call_lead_where_they_say():
    """'continue' goes to the next step, 'fail' fails, a list is executed first."""
    call = AsyncStep(
        "b", "x", on_done="fail", on_rejected=[Step("r1"), Step("r2")], on_timeout="continue"
    )
    graph = laid_out(call, Step("c"))
    node = by_name(graph, "b", Call)
    assert node.on_done == FAILED
    assert trail(graph, node.on_rejected) == ["r1", "r2", "c", "done"]
    assert trail(graph, node.on_timeout) == ["c", "done"]
    assert trail(graph, node.next) == ["c", "done"]


def test_the_way_after_an_accepted_call_leads_to_the_arming_of_its_own_wait():
    """Steps before the waiting are gone through first; without any the record stands at once."""
    graph = laid_out(AsyncStep("b", "x", on_accepted=[Step("n1"), Step("n2")]), AsyncStep("c", "x"))
    call, arming = by_name(graph, "b", Call), by_name(graph, "b", Await)
    first = graph.nodes[call.on_accepted]
    assert [first.name, graph.nodes[first.next].name] == ["n1", "n2"]
    assert graph.nodes[first.next].next == arming.index
    assert arming.call == call.index
    assert by_name(graph, "c", Call).on_accepted == STANDS


def test_an_empty_path_and_an_empty_branch_just_go_on():
    """A list of no steps is the same as 'continue'."""
    call = AsyncStep("b", "x", on_timeout=[])
    graph = laid_out(call, Choice("which", [(0.5, []), (0.5, [Step("s")])]), Step("c"))
    which = by_name(graph, "which", Choose)
    assert by_name(graph, "b", Call).on_timeout == which.index
    assert [trail(graph, head) for head in which.heads] == [["c", "done"], ["s", "c", "done"]]


def test_a_fork_leads_into_all_branches_and_they_meet_in_its_join():
    """Both branches of a parallel end in the join that waits for two."""
    graph = laid_out(Parallel("both", [[Step("a"), Step("b")], [Step("c")]]), Step("d"))
    fork, join = by_name(graph, "both", Fork), by_name(graph, "both", Join)
    assert graph.start == fork.index
    assert fork.next == join.index
    assert join.ways == 2
    assert [trail(graph, head) for head in fork.heads] == [
        ["a", "b", "both", "d", "done"],
        ["c", "both", "d", "done"],
    ]


def test_nested_elements_come_back_to_where_they_were_left():
    """A parallel in a branch of a choice in a branch of a parallel joins from the inside out."""
    inner = Parallel("inner", [[Step("a")], [Step("b")]])
    which = Choice("which", [(0.3, [inner]), (0.7, [])])
    graph = laid_out(Parallel("outer", [[which, Step("c")], [Step("d")]]))
    inner_join, outer_join = by_name(graph, "inner", Join), by_name(graph, "outer", Join)
    heads = by_name(graph, "inner", Fork).heads
    assert [graph.nodes[head].next for head in heads] == [inner_join.index] * 2
    assert trail(graph, inner_join.next) == ["c", "outer", "done"]
    assert outer_join.next == DONE


@pytest.mark.parametrize(
    ("uniform", "branch"), [(0.0, "a"), (0.199, "a"), (0.2, "b"), (0.699, "b"), (0.7, "c")]
)
def test_a_choice_takes_the_branch_whose_share_holds_the_number(uniform, branch):
    """Shares 0.2, 0.5, 0.3 are [0, 0.2), [0.2, 0.7), [0.7, 1)."""
    graph = laid_out(Choice("which", [(0.2, [Step("a")]), (0.5, [Step("b")]), (0.3, [Step("c")])]))
    node = by_name(graph, "which", Choose)
    assert graph.nodes[node.head_for(uniform)].name == branch


def test_rounding_of_the_shares_leaves_no_number_without_a_branch():
    """Ten times 0.1 adds up to less than the largest number below one: the last branch takes it."""
    graph = laid_out(Choice("which", [(0.1, [Step(f"s{k}")]) for k in range(10)]))
    node = by_name(graph, "which", Choose)
    assert node.bounds[-1] < 1.0
    assert graph.nodes[node.head_for(1.0 - 2.0**-53)].name == "s9"


def test_activation_numbers_follow_the_written_order():
    """Numbers count steps as written, also inside paths, from first_activation on."""
    call = AsyncStep("b", "x", on_timeout=[Step("late")])
    graph = laid_out(Step("a"), call, Step("c"), first_activation=30)
    numbers = {n.name: n.number for n in graph.nodes if isinstance(n, (Work, Call))}
    assert numbers == {"a": 30, "b": 31, "late": 32, "c": 33}


@settings(max_examples=times(50), deadline=None)
@given(scenarios())
def test_every_node_can_be_reached_and_every_way_leads_to_a_node_or_an_end(scenario):
    """Random processes: no dead node, no way into nowhere, and no way back."""
    process = scenario.process
    graph = Graph.of(process)
    assert [node.index for node in graph.nodes] == list(range(len(graph.nodes)))
    reached, todo = set(), [graph.start]
    while todo:
        index = todo.pop()
        if index >= 0 and index not in reached:
            reached.add(index)
            todo += ways_out(graph.nodes[index])
    assert reached == set(range(len(graph.nodes)))
    for node in graph.nodes:
        for way in ways_out(node):
            assert way in (DONE, FAILED, STANDS) or 0 <= way < node.index
    loops = {e.name for e in process.parts() if isinstance(e, (Retry, Repeat, ForEach))}
    own = [node for node in graph.nodes if node.name not in loops]
    played = [element for element, _ in process.played() if element.name not in loops]
    added = [node for node in own if isinstance(node, (Join, Await))]
    assert len(own) == len(played) + len(added)
