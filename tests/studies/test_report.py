"""A report is one HTML file that needs nothing else; its checklist states what was played."""

import base64
import io
import re
from html import unescape
from html.parser import HTMLParser

import numpy
import pandas as pd
import pytest

import asyncsim as sim
from asyncsim.studies import report as page
from asyncsim.studies.checklist import checklist

pytestmark = pytest.mark.slow

SCENARIO = sim.Scenario(
    name="orders & <co>",
    process=sim.Process("p", [sim.AsyncStep("post", "ledger")]),
    systems={"ledger": sim.NightlyBatch("22:00", "100ms", results="at end")},
    arrivals=sim.UniformArrivals(30, between=("08:00", "20:00")),
    server=sim.WorkflowServer(callback_work="1s"),
)
PAIR = [sim.Callback("1s"), sim.Polling("5min")]
QUIET = {"replications": 2, "progress": False}
SELF_CLOSING = {"meta", "img", "br"}


class Checker(HTMLParser):
    """Notes addresses, and tags that are not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.links, self.alts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.sources += [found["src"]] if "src" in found else []
        self.links += [found["href"]] if "href" in found else []
        if tag == "img":
            self.alts.append(found.get("alt"))
        if tag not in SELF_CLOSING:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def studies():
    """One of each kind."""
    return [
        sim.compare(SCENARIO, PAIR, **QUIET),
        sim.sweep(SCENARIO, {"server.workers": [1, 2]}, PAIR, **QUIET),
        sim.fewest_workers(SCENARIO, PAIR[0], "max_latency <= 20s", **QUIET),
        sim.frontier(SCENARIO, PAIR, **QUIET),
        sim.herd_drain(SCENARIO, **QUIET),
    ]


def written(tmp_path, studies, **options):
    """Return the page."""
    text = sim.report(studies, tmp_path / "r.html", **options).read_text(encoding="utf-8")
    return text.replace("\N{NO-BREAK SPACE}", " ")  # which keeps a number and its unit on one line


def test_a_page_needs_nothing_from_outside(tmp_path, studies):
    """Pictures and tables lie within it; tags are closed; a browser may load nothing else."""
    text = written(tmp_path, studies)
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert len(checker.sources) >= len(studies)
    assert all(source.startswith("data:image/png") for source in checker.sources)
    links = [link for link in checker.links if not link.startswith("data:text/csv")]
    assert len(checker.links) - len(links) == len(studies)
    assert links == [page.DOI]  # to be followed, not loaded
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "<co>" not in text
    assert "orders &amp; &lt;co&gt;" in text


def test_each_picture_has_a_text_of_its_own(tmp_path, studies):
    """It names what is drawn and the strategies, for readers who do not see it."""
    checker = Checker()
    checker.feed(written(tmp_path, studies[0]))
    assert len(checker.alts) == len(set(checker.alts)) == 3
    for part, alt in zip(studies[0].parts, checker.alts, strict=True):
        assert alt == studies[0].plot(part).alt
        assert all(label in alt for label in studies[0].strategies)


def test_the_first_page_has_the_answer(tmp_path, studies):
    """Title, purpose, findings, one picture, what is not covered; then the rest."""
    text = written(tmp_path, studies, title="A & B", purpose="to <decide>", sources="a log")
    order = [
        *("<h1>A &amp; B</h1>", "to &lt;decide&gt;", "<h2>Findings</h2>", "<img"),
        *("What is not covered", "<h2>Method</h2>", "a log", "<h2>1. Comparison", "<h2>2. "),
        *("Reporting checklist", "Scenario file"),
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    first = unescape(text[: text.index("<h2>Method")])
    assert first.count("<img") == 1
    assert studies[0].findings()
    for study in (studies[0], *studies[2:]):
        for one in study.findings():
            assert one[1:] in first


def test_what_is_not_covered_is_listed(tmp_path):
    """Losses, notes, missing prices, and what the authors leave open."""
    lossy = [sim.Callback("1s", loss=0.5), PAIR[1]]
    with pytest.warns(sim.CensoredWarning):
        study = sim.compare(SCENARIO, lossy, **QUIET)
    text = unescape(written(tmp_path, study, purpose="to learn"))
    limits = text[text.index("What is not covered") : text.index("<h2>Method")]
    share = study["unresumed_share"].loc[lossy[0].label, "mean"]
    assert f"up to {100 * share:.3g} % of its waits never do" in limits
    assert lossy[1].label not in limits
    assert all(note[1:] in limits for note in study.notes)
    assert "no prices" in limits
    assert "Not stated by the authors: data sources" in limits
    assert "purpose of the model" not in limits
    once = sim.compare(SCENARIO, PAIR, replications=1, progress=False)
    text = written(tmp_path, once, sources="s", preprocessing="p", assumptions="a", sharing="s")
    assert "One replication has no interval" in text
    assert "purpose of the model" in text


def test_several_scenarios_have_their_own_findings(tmp_path, studies):
    """Each under the name of its scenario."""
    other = sim.fewest_workers(
        SCENARIO.replace(name="another"), PAIR[0], "max_latency <= 20s", **QUIET
    )
    text = written(tmp_path, [studies[0], other])
    assert "<h3>orders &amp; &lt;co&gt;</h3>" in text
    assert "<h3>another</h3>" in text
    assert "<h3>" not in written(tmp_path, studies)


def test_everything_that_was_found_can_be_downloaded(tmp_path, studies):
    """The CSV within the page is the table of the study."""
    text = written(tmp_path, studies)
    found = re.findall(r'data:text/csv;base64,([^"]+)', text)
    assert len(found) == len(studies)
    for data, study in zip(found, studies, strict=True):
        table = pd.read_csv(io.BytesIO(base64.b64decode(data)), keep_default_na=False)
        assert list(table.columns) == list(study.table.columns)
        assert len(table) == len(study.table)


def test_the_scenario_in_the_page_is_the_scenario(tmp_path, studies):
    """Copied from the page into a file, it can be played again."""
    text = written(tmp_path, studies)
    found = re.findall(r"<pre>(.*?)</pre>", text, flags=re.DOTALL)
    (tmp_path / "s.toml").write_text(unescape(found[0]), encoding="utf-8")
    assert sim.Scenario.load(tmp_path / "s.toml") == SCENARIO


def test_a_long_table_is_cut_on_the_page_and_says_so(tmp_path, studies, monkeypatch):
    """But not in the file to download."""
    monkeypatch.setattr(page, "MOST_ROWS", 3)
    text = written(tmp_path, studies[0])
    assert f"the first 3 of {len(studies[0].table)} rows" in text


def test_custom_classes_can_be_reported(tmp_path):
    """No file can hold them: the report describes them instead."""

    class Mine(sim.OnlineService):
        """A custom system."""

    scenario = SCENARIO.replace(systems={"ledger": Mine("1s")})
    text = written(tmp_path, sim.compare(scenario, PAIR, **QUIET))
    assert "Mine is a class of your own" in text


@pytest.mark.parametrize(
    ("studies", "match"),
    [([], r"studies must be a study .* got \[\]"), (SCENARIO, "studies must be a study")],
)
def test_what_is_no_study_is_refused(tmp_path, studies, match):
    """With what would be right."""
    with pytest.raises(sim.ScenarioError, match=match):
        sim.report(studies, tmp_path / "r.html")


def test_a_path_that_cannot_be_written_is_named(tmp_path, studies):
    """A folder that is not there."""
    with pytest.raises(sim.ScenarioError, match=r"path must be a file .*\(No such file.*r\.html"):
        sim.report(studies[0], tmp_path / "nowhere" / "r.html")
    with pytest.raises(sim.ScenarioError, match=r"path must end in .html, got .*r.pdf"):
        sim.report(studies[0], tmp_path / "r.pdf")
    with pytest.raises(sim.ScenarioError, match="purpose must be a text, got 5"):
        sim.report(studies[0], tmp_path / "r.html", purpose=5)


def test_waits_without_end_are_in_the_page(tmp_path):
    """The sentence of the warning stands in it, with the share beside the latencies."""
    lossy = [sim.Callback("1s", loss=0.5)]
    with pytest.warns(sim.CensoredWarning) as caught:
        comparison = sim.compare(SCENARIO, lossy, **QUIET)
    with pytest.warns(sim.CensoredWarning) as swept:
        sweep = sim.sweep(SCENARIO, {"server.workers": [1]}, lossy, **QUIET)
    text = written(tmp_path, [comparison, sweep])
    Checker().feed(text)
    for one in (caught, swept):
        assert text.count(str(one[0].message)[1:]) == 2  # on the first page and with the study
    assert "unresumed share" in text
    assert text.count("mean latency of resumed waits") >= 2


NUMBERS = [
    *("1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "2.4", "2.5.1", "2.5.2", "2.5.3", "2.5.4", "2.5.5"),
    *("3.1", "3.2", "3.3", "3.4", "4.1", "4.2", "4.3", "5.1", "5.2", "5.3", "5.4", "6.1"),
]
"""The items of STRESS-DES."""


def items_of(seed=5, replications=3, **authors):
    """The checklist of a comparison, by number."""
    scenario = sim.Scenario.load("data/person.toml")
    study = sim.compare(
        scenario, [sim.Callback(), sim.Polling("1h")], seed=seed, replications=replications,
        progress=False,
    )  # fmt: skip
    return {item.number: item for item in checklist([study], authors)}


def test_every_item_is_there_once():
    """In order; each asks for something."""
    items = items_of()
    assert list(items) == NUMBERS
    assert all(item.asks and item.section for item in items.values())


def test_it_is_filled_from_what_was_played():
    """Seed, replications, versions, workers, strategies, length."""
    items = items_of(seed=41, replications=4)
    assert "seed 41" in items["5.2"].answer
    assert "4 replications, 95 % intervals" in items["4.3"].answer
    assert f"numpy {numpy.__version__}" in items["5.1"].answer
    scenario = sim.Scenario.load("data/person.toml")
    assert f"{scenario.server.workers} workers" in items["2.5.3"].answer
    assert str(scenario.start) in items["4.2"].answer
    assert "callback; polling 1 h" in items["2.3"].answer
    assert "mean latency" in items["1.2"].answer


def test_it_is_written_in_words():
    """Distributions, systems and arrivals as a reader would put them; no class, no field."""
    items = items_of()
    assert "1 s on average (lognormal, standard deviation 500 ms)" in items["2.5.2"].answer
    assert "3 people: each task takes 12 min on average" in items["2.5.3"].answer
    assert ", 09:00 to 17:00, Mon-Fri, not on public holidays" in items["2.5.3"].answer
    assert "100 per day at random (Poisson), 07:00 to 19:00, Mon-Fri" in items["2.5.5"].answer
    assert "arrivals for 12 days from midnight of Monday, 2026-03-30" in items["4.2"].answer
    for item in items.values():
        assert not re.search(r"[A-Z]\w+\(|\w=|[a-z]_[a-z]|<", item.answer), item


def test_what_only_the_authors_know_is_never_made_up():
    """Empty until they answer."""
    asked = {"1.1", "3.1", "3.2", "3.4", "6.1"}
    assert {number for number, item in items_of().items() if not item.answer} == asked
    assert items_of(purpose="to learn")["1.1"].answer == "to learn"


def test_scenarios_that_differ_are_named():
    """Each by its name; what they share appears once."""
    one = sim.Scenario.load("data/person.toml")
    other = one.replace(name="more clerks", server=sim.WorkflowServer(workers=9))
    both = [sim.compare(s, [sim.Callback()], replications=2, progress=False) for s in (one, other)]
    items = {item.number: item.answer for item in checklist(both, {})}
    assert "more clerks: 9 workers" in items["2.5.3"]
    assert "more clerks" not in items["4.2"]


# --- the method -----------------------------------------------------------------------------------

OFFICE = sim.Scenario(
    name="claims",
    length="5 days",
    start="2026-01-05",
    process=sim.Process(
        "claim", [sim.AsyncStep("decide", "clerk"), sim.AsyncStep("book", "mainframe")]
    ),
    systems={
        "clerk": sim.People(1, "20min", between=("08:00", "16:00")),
        "mainframe": sim.NightlyBatch("21:30", "1s"),
    },
    arrivals=sim.Poisson("48/day", between=("07:00", "18:00"), days="Mon-Fri"),
    costs=sim.CostModel(check=0.001, currency="EUR"),
)


@pytest.fixture(scope="module")
def office():
    """A comparison of a clerk with twice the work she can do."""
    return sim.compare(OFFICE, [sim.Callback("50ms"), sim.Polling("15min")], **QUIET)


def test_the_method_has_what_a_reader_must_know(tmp_path, office):
    """What strategies do, prices, loads, the length of a run, the process drawn, the authors."""
    words = {"author": "A. Planner", "assumptions": "all days alike", "preprocessing": "none"}
    text = unescape(written(tmp_path, office, **words))
    first, method = text[: text.index("<h2>Method")], text[text.index("<h2>Method") :]
    method = method[: method.index("<h2>1. ")]
    assert "A. Planner, " in first
    assert "'clerk' is overloaded" in first[: first.index("<img")]
    assert "none is lost here, by assumption" in first
    assert "which takes 50 ms" in method
    assert "1 EUR for 1,000 checks" in method
    assert re.search(r"clerk (1[6-9]|2[0-4])\d %, mainframe", method)
    assert "per run of 5 days" in method
    assert "seed 0" in method
    assert "waits for mainframe" in method
    assert "all days alike" in method
    gaps = text[text.index("Not stated by the authors") :]
    assert "assumptions" not in gaps[: gaps.index("</li>")]


def test_the_steps_have_a_table_and_a_file(tmp_path, office):
    """What the time outside is, is defined beside it."""
    text = written(tmp_path, office)
    assert "By step" in text
    assert 'download="study_1_by_step.csv"' in text
    assert "from the call to completion" in text
    assert "Hover" not in text
    assert "<code>" not in text


def test_equal_scenarios_appear_once_and_others_by_their_difference(tmp_path, office):
    """Their name is the same: what differs is in the headings."""
    equal = sim.Scenario.load(_saved(tmp_path))
    again = sim.compare(equal, [sim.Callback("50ms")], **QUIET)
    text = written(tmp_path, [office, again])
    assert text.count("Scenario file: claims") == 1
    assert "except for" not in text
    dear = OFFICE.replace(costs=sim.CostModel(check=0.002, currency="EUR"))
    other = sim.compare(dear, [sim.Callback("50ms")], **QUIET)
    text = unescape(written(tmp_path, [office, other]))
    assert "<h3>claims, with other prices</h3>" in text
    changes = text[text.index("Changes to the scenario file: claims, with other prices") :]
    assert "- check = 0.001" in changes
    assert "+ check = 0.002" in changes
    assert "[process" not in changes
    method = text[text.index("as above except for") :]
    assert "2 EUR for 1,000 checks" in method[: method.index("Strategies")]
    assert "Workflow server" not in method[: method.index("Strategies")]


def _saved(folder):
    OFFICE.save(folder / "office.toml")
    return folder / "office.toml"


def test_explanations_belong_to_the_method(tmp_path, office):
    """Alone, their sentences are the findings."""
    explained = sim.explain(OFFICE, sim.Callback("50ms"))
    text = unescape(written(tmp_path, [office, explained]))
    method = text[text.index("<h2>Method") : text.index("<h2>1. Comparison")]
    assert "what to expect without a run" in method
    assert "offered load" in method
    text = unescape(written(tmp_path, explained))
    first = text[: text.index("<h2>Method")]
    assert explained.findings()[0] in first
    assert "<img" not in text
    assert text.count(explained.findings()[0]) == 1


def test_answers_under_several_strategies_name_theirs(tmp_path, office):
    """A number of workers alone would be anybody's."""
    answers = [
        sim.fewest_workers(OFFICE, one, "p95_latency <= 20min", **QUIET)
        for one in (sim.Callback("50ms"), sim.Polling("15min"))
    ]
    text = unescape(written(tmp_path, [office, *answers]))
    first = text[: text.index("<h2>Method")]
    assert "which takes 50 ms" in unescape(written(tmp_path, answers))
    for answer in answers:
        found = answer.findings()[0]
        assert f"Under '{answer.strategies[0]}', {found[0].lower()}{found[1:]}" in first


def test_a_sweep_states_what_its_strategies_do(tmp_path):
    """Unless it varies that."""
    pair = [sim.Callback("50ms"), sim.Polling("15min")]
    found = sim.sweep(OFFICE, {"strategy.interval": ["5min", "1h"]}, pair, **QUIET)
    assert list(found.strategies_in_words) == ["callback"]
    text = unescape(written(tmp_path, found))
    assert "which takes 50 ms" in text
    assert "counted from the arming" not in text
