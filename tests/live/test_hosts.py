"""The hosts an endpoint answers to."""

import socket

import httpx
import pytest

import asyncsim as sim
from asyncsim.live.endpoint import host_names
from asyncsim.live.http_server import Hosts
from asyncsim.live.setup import PATH
from asyncsim.model.units import InvalidValue

SCENARIO = sim.Scenario(
    name="approval",
    process=sim.Process("approve", [sim.AsyncStep("approve", "people")]),
    systems={"people": sim.People(2, "10min")},
    arrivals=sim.Regular("1s"),
    length="1min",
)
SERVER = ("192.168.0.10", 8765)
"""The address of the machine to which a connection came."""


def refused(hosts, *headers, server=SERVER):
    """Return the host that is refused, if there is one."""
    return hosts.refused(
        {"headers": [(b"host", one.encode()) for one in headers], "server": server}
    )


class TestHosts:
    @pytest.mark.parametrize(
        "header",
        [
            *("localhost", "LOCALHOST:80", "localhost.", "127.0.0.1:8765", "127.0.0.1:"),
            *("[::1]", "[::1]:8765", "[0:0:0:0:0:0:0:1]:1", "Room.Example:99", "192.168.0.10"),
        ],
    )
    def test_these_are_answered(self, header):
        """Names of this machine, the address a connection came to, and names that are allowed."""
        assert refused(Hosts("127.0.0.1", "127.0.0.1", ["room.example"]), header) is None

    @pytest.mark.parametrize(
        "header",
        [
            *("evil.example", "evil.example:8765", "localhost.evil.example", "192.168.0.11"),
            *("127.0.0.1.evil.example", "localhost@evil.example", "localhost:80@evil.example"),
            *("localhost, evil.example", "", " ", "[", "[::2]", "::1", "localhost:x", "\x80", "0"),
        ],
    )
    def test_no_other_one_is(self, header):
        """Nor what merely looks like one, nor a second one after a good one."""
        hosts = Hosts("127.0.0.1", "127.0.0.1")
        assert refused(hosts, header) == header.encode().decode("latin-1")
        assert refused(hosts, "localhost", header) is not None

    def test_a_request_without_the_header_comes_from_no_browser(self):
        """HTTP/1.0 has none."""
        assert refused(Hosts("127.0.0.1", "127.0.0.1")) is None

    def test_the_machine_has_names_where_it_listens_everywhere(self, monkeypatch):
        """Its own, and that of its local network; on one address only, that one is meant."""
        monkeypatch.setattr(socket, "gethostname", lambda: "room.school.example")
        everywhere, here = Hosts("0.0.0.0", "0.0.0.0"), Hosts("127.0.0.1", "127.0.0.1")
        for name in ("room", "room.local", "room.school.example", "0.0.0.0"):
            assert refused(everywhere, name) is None
            assert refused(here, name) == name
        assert refused(Hosts("room.lan", "10.0.0.7"), "room.lan", "10.0.0.7") is None

    def test_an_address_of_a_link_has_a_zone_that_does_not_count(self):
        """Clients send it or not."""
        hosts = Hosts("fe80::1%eth0", "fe80::1%eth0")
        assert (
            refused(hosts, "[fe80::1]:80", "[fe80::1%25eth0]", server=("fe80::1%eth0", 80)) is None
        )


class TestNames:
    def test_names_are_read_as_browsers_write_them(self):
        """Addresses in brackets or not, and letters of all languages."""
        given = ["room.example", "10.0.0.7", "[::1]", "fe80::2", "bücher.example"]
        assert host_names(given) == (*given[:2], "::1", "fe80::2", "xn--bcher-kva.example")

    @pytest.mark.parametrize(
        "given",
        [
            *("room.example", [""], ["http://room.example"], ["room.example:80"], ["a b"], ["*"]),
            *([5], None, ["a/b"], ["." * 70], ["\ud800"]),
        ],
    )
    def test_what_is_no_name_is_refused(self, given):
        """A scheme, a port, one text instead of a list."""
        with pytest.raises(InvalidValue, match="without scheme and port"):
            host_names(given)
        with pytest.raises(sim.ScenarioError, match="allowed_hosts must be a list of hosts"):
            sim.live(SCENARIO).serve(allowed_hosts=given)


def test_a_page_of_another_site_gets_no_answer():
    """Its name may point here; it reads neither the description nor anything else."""
    session = sim.live(SCENARIO, hold=True)
    endpoint = session.serve(allowed_hosts=["room.example"])
    me = {"Authorization": f"Bearer {endpoint.token}"}
    for path in ("/docs", "/openapi.json", "/", f"{PATH}/clock", "/nothing"):
        answer = httpx.get(endpoint.url + path, headers=me | {"Host": "evil.example"})
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["instance"] == path
        for word in ("evil.example", "allowed_hosts=['NAME']", "--allow-host NAME"):
            assert word in answer.json()["detail"]
        for host in ("localhost:1", "[::1]", "room.example"):
            answer = httpx.get(endpoint.url + path, headers=me | {"Host": host})
            assert answer.status_code < 400 or path == "/nothing"
    endpoint.stop()
