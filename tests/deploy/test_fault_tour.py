"""docs/faults.md is true: each fault is brought about, and each cell of its row is found on its surface."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import StartKafka, Topics
from tests.deploy.scraped import hour, question
from tests.e2e.deployment import wait_for
from tests.e2e.tour import Row, Tour, literals, table, unsaid

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
ROWS = {row["fault"]: row for row in table(PAGE)}

RULES = PAGE.parents[1] / "deploy" / "prometheus" / "alerts.yml"

SLOPE = 3.0
"""Seconds between two scrapes that show how fast counters rise during a fault."""

PATIENCE = 60.0
"""Seconds until every surface has said what it has to say: Kafka's absence takes the longest."""


def vendor_down(tour: Tour) -> None:
    tour.begin()
    assert tour.site.simulator is not None
    tour.site.simulator.kill()
    tour.site.simulator.wait()


def token_revoked(tour: Tour) -> None:
    tour.begin()
    tour.control("revoke")
    polls = tour.site.polls()
    wait_for(lambda: tour.site.polls() > polls + 3, "polls with a new token")


def fixed_token_revoked(tour: Tour) -> None:
    tour.site.simulate(agents=40, seed=3)
    token = tour.logged_in()
    tour.site.config.write_text(
        tour.site.config.read_text().replace('accesskey_env = "FLOOR_ACCESSKEY"', f'token = "{token}"')
    )
    tour.live()
    tour.control("revoke")


def account_refused(tour: Tour) -> None:
    tour.begin()
    tour.control("faults", spec="always:ret601")


def partial_lists(tour: Tour) -> None:
    tour.begin()
    tour.control("faults", spec="always:partial=0.5")


def kafka_down(tour: Tour) -> None:
    tour.begin()
    assert tour.server is not None
    tour.server.stop()


def wrong_time_zone(tour: Tour) -> None:
    tour.site.config.write_text(tour.site.config.read_text() + 'timezone = "America/New_York"\n')
    tour.begin()


def fenced(tour: Tour) -> None:
    tour.begin()
    tour.another()  # and all is well there


FAULTS: dict[str, Callable[[Tour], None]] = {
    "Vendor down": vendor_down,
    "Token revoked": token_revoked,
    "Fixed token revoked": fixed_token_revoked,
    "Account refused": account_refused,
    "Partial lists": partial_lists,
    "Kafka down": kafka_down,
    "Wrong time zone": wrong_time_zone,
    "Fenced": fenced,
}


def test_the_page_tells_of_these_faults() -> None:
    """No row without a fault, no fault without a row."""
    assert set(ROWS) == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_surface_says_what_the_page_says(
    fault: str, kafka: str, own_kafka: StartKafka, topics: Topics, tmp_path: Path, promtool: Callable[..., str]
) -> None:
    """Each cell of the fault's row; and if the fault stays, Prometheus fires the alerts that it names and no others."""
    row: Row = ROWS[fault]
    server = own_kafka() if fault == "Kafka down" else None
    with Tour(tmp_path, server.bootstrap if server else kafka, topics, server) as tour:
        FAULTS[fault](tour)
        problems: list[str] = []

        def said() -> bool:
            problems[:] = unsaid(row, tour.surfaces())
            return not problems

        try:
            wait_for(said, f"what is said of {fault}", PATIENCE)
        except TimeoutError:
            pytest.fail("\n\n".join(problems))
        during = [tour.scrape()]
        wait_for(lambda: time.time() > during[0].at + SLOPE, "a while to go by")
        during.append(tour.scrape())
    world = hour(tour.healthy, during)
    (tmp_path / "alerts.json").write_text(json.dumps(question(str(RULES), world, literals(row["alert"]))))
    promtool("test", "rules", tmp_path / "alerts.json")
