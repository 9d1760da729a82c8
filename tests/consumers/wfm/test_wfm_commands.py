"""`streamer wfm` as an operator runs it: from events on a real Kafka to exports, killed and stopped meanwhile."""

from __future__ import annotations

import asyncio
import csv
import json
import signal
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from aiokafka.errors import KafkaError

from streamer.cli import main
from streamer.client import AgentStateChanged
from streamer.client.batches import Batch
from streamer.config import Kafka
from streamer.consumers.wfm.service import follow
from streamer.consumers.wfm.store import Store, read
from tests.client.produced import Sent, feed, soon, written
from tests.commands.shell import Process
from tests.conftest import Topics
from tests.consumers.wfm.histories import Telephone, at, batch, ms
from tests.consumers.wfm.wfm_receivers import KEY, PushReceiver
from tests.topics import create_ours, settings

COMPLETE = 3600.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration without a source, for commands that read the ledger."""
    path = tmp_path / "wfm.toml"
    path.write_text(f'[wfm]\npath = "{tmp_path}/wfm.db"\ntimezone = "Asia/Shanghai"\n')
    return path


def filled(tmp_path: Path) -> None:
    """A ledger: available at 10:00 in Shanghai, talking a minute later, complete for an hour."""
    store, phone = Store(tmp_path / "wfm.db", "agent-state-changed"), Telephone()
    told = [phone.first("available", 0), phone.to("talking", 60)]
    store.keep(batch(told, complete={"floor": at(COMPLETE)}))
    store.close()


def records(kafka: Kafka, events: Iterable[AgentStateChanged]) -> list[Sent]:
    return [(kafka.events_topic, f"{e.source}/{e.extension}".encode(), msgspec.json.encode(e)) for e in events]


def run(config: Path) -> Process:
    return Process("wfm", "run", "--config", config)


async def test_from_events_to_an_export(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """Killed and begun anew, it goes on where it was; SIGTERM ends it well; the export has each interval once, and a
    receiver that was away in the first life is told everything in the second."""
    section = settings(kafka, topics)
    await asyncio.to_thread(create_ours, section)
    keys = ("bootstrap_servers", "events_topic", "state_topic", "feed_topic", "rejected_topic")
    lines = [f'{key} = "{getattr(section, key)}"' for key in keys]
    config = tmp_path / "wfm.toml"
    receiver = PushReceiver()
    receiver.down = True
    await receiver.start()
    agents = tmp_path / "agents.csv"
    agents.write_text("source,extension,id\nfloor,100001,ann\nfloor,100002,bob\n")
    output = (
        f'name = "planner"\nkind = "push"\nurl = "http://127.0.0.1:{receiver.port}"\nagents = "{agents}"\nkey = "{KEY}"'
    )
    wfm = ["[wfm]", f'path = "{tmp_path}/wfm.db"', "[[wfm.outputs]]", output]
    config.write_text("\n".join(["[kafka]", *lines, *wfm]))
    ann, bob = Telephone("100001", "Ann"), Telephone("100002", "Bob")
    first = [ann.first("available", 0), bob.first("idle", 1), ann.to("ringing", 10)]
    await written(section, *records(section, first), feed(at=at(60), confirmed=30.0))
    with run(config) as process:
        await asyncio.to_thread(process.until, "2026-11-23T02:00:30.000Z")
        await soon(lambda: receiver.requests > 0)
        process.signal(signal.SIGKILL)
        await asyncio.to_thread(process.end)
    receiver.down = False
    bob.to("available", 20)
    later = [ann.to("talking", 14), bob.to("paused", 50), ann.to("available", 45)]
    await written(section, *records(section, later), feed(at=at(60), confirmed=55.0))
    with run(config) as process:
        await asyncio.to_thread(process.until, "2026-11-23T02:00:55.000Z")
        await soon(lambda: len(receiver.of("state")) == 6)
        process.signal(signal.SIGTERM)
        done = await asyncio.to_thread(process.end)
    await receiver.stop()
    assert done.code == 0
    assert "Traceback" not in done.text
    assert [item["state"] for item in receiver.of("state", "100001")] == [
        "available",
        "ringing",
        "talking",
        "available",
    ]
    assert [item["sequence"] for item in receiver.of("state", "100002")] == [1, 3]
    assert "floor/100002: number 2 is missing" in done.text
    out = tmp_path / "day.csv"
    assert main(["wfm", "export", "--config", str(config), "--day", "2026-11-23", "--out", str(out)]) == 0
    rows = list(csv.DictReader(out.read_text("utf-8").splitlines()))
    assert [(r["agent"], r["state"], r["start"][17:], r["end"][17:], r["basis"]) for r in rows] == [
        ("Ann", "available", "00.000Z", "10.000Z", "observed"),
        ("Ann", "ringing", "10.000Z", "14.000Z", "observed"),
        ("Ann", "talking", "14.000Z", "45.000Z", "observed"),
        ("Ann", "available", "45.000Z", "", "observed"),
        ("Bob", "idle", "01.000Z", "20.000Z", "observed"),
        ("Bob", "available", "20.000Z", "50.000Z", "previous"),
        ("Bob", "paused", "50.000Z", "", "observed"),
    ]


async def test_outputs_take_within_the_transaction_and_run_beside(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """They are cancelled at the end; if they fail, the whole ends with their error."""
    section = settings(kafka, topics)
    await asyncio.to_thread(create_ours, section)
    await written(section, *records(section, [Telephone().first("available", 0)]))
    stop = asyncio.Event()

    class Taking:
        def __init__(self, fails: bool) -> None:
            self.fails, self.taken, self.ended = fails, 0, False

        def take(self, db: object, batch: Batch) -> None:
            self.taken += len(batch.items)

        async def run(self, live: object) -> None:
            if self.fails:
                raise KafkaError("they are broken")
            try:
                await asyncio.Event().wait()
            finally:
                self.ended = True

    async def work(outputs: Taking) -> None:
        store = Store(tmp_path / "wfm.db", section.events_topic)
        try:
            await follow(
                section,
                store,
                stop,
                on_finding=print,
                on_kept=lambda batch: stop.set() if batch.items else None,
                outputs=outputs,
            )
        finally:
            store.close()

    good = Taking(fails=False)
    async with asyncio.timeout(30):
        await work(good)
    assert (good.taken, good.ended) == (1, True)
    stop.clear()
    with pytest.raises(KafkaError, match="they are broken"):
        async with asyncio.timeout(30):
            await work(Taking(fails=True))
    assert len(read(tmp_path / "wfm.db", 0, ms(COMPLETE))[0]) == 1


def test_times_are_printed(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the zone's time for people, in UTC for programs; the day is not over."""
    filled(tmp_path)
    arguments = ["wfm", "times", "--config", str(config), "--day", "2026-11-23"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "10:00  floor/Ann  available 60.5 s  talking 839.5 s"
    assert [line[:5] for line in lines[1:]] == ["10:15", "10:30", "10:45", "day  "]
    assert [line.endswith("not final") for line in lines] == [False] * 4 + [True]
    assert main([*arguments, "--json", "--agent", "Ann"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    first = next(one for one in found if one["span"] == "interval")
    assert first == {
        "span": "interval",
        "source": "floor",
        "agent": "Ann",
        "start": "2026-11-23T02:00:00.000Z",
        "end": "2026-11-23T02:15:00.000Z",
        "seconds": {"available": 60.5, "talking": 839.5},
        "final": True,
    }
    (day,) = (one for one in found if one["span"] == "day")
    assert (day["seconds"]["talking"], day["final"]) == (3539.5, False)


def test_adherence_is_printed(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for programs; activities of other days are not."""
    filled(tmp_path)
    schedule = tmp_path / "schedule.csv"
    schedule.write_text(
        "agent,start,end,activity\n"
        "Ann,2026-11-23T10:00:00+08:00,2026-11-23T10:30:00+08:00,break\n"
        "Ann,2026-11-24T10:00:00+08:00,2026-11-24T10:30:00+08:00,break\n"
    )
    arguments = ["wfm", "adherence", "--config", str(config), "--schedule", str(schedule), "--day", "2026-11-23"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        "10:00:00–10:30:00  Ann  break  6.67 %  in 120.0 s  out 1680.0 s  unknown 0.0 s",
        "    away  10:01:00–10:29:00",
    ]
    assert main([*arguments, "--json"]) == 0
    (found,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (found["agent"], found["out_s"], found["percent"]) == ("Ann", 1680.0, 6.67)
    assert found["exceptions"] == [
        {"kind": "away", "start": "2026-11-23T02:01:00.000Z", "end": "2026-11-23T02:29:00.000Z"}
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["times"], "there is no ledger yet; let `streamer wfm run` make it"),
        (["export", "--out", "day.csv"], "there is no ledger yet"),
        (["adherence", "--schedule", "/nowhere.csv"], "/nowhere.csv: No such file or directory; give a readable file"),
    ],
)
def test_what_is_missing_is_named(
    arguments: list[str], words: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2."""
    assert main(["wfm", *arguments, "--config", str(config), "--day", "2026-11-23"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'wfm: missing; add [wfm] with path = "FILE", see docs/wfm.md'),
        ('[wfm]\npath = "x"\ntimezone = "Mars"', "wfm.timezone: 'Mars' is not a known time zone"),
        ('[wfm]\npath = "x"\ngrace = -1', "wfm.grace: "),
        ('[wfm]\npath = "x"\n[wfm.activities]\nphone = ["dancing"]', "wfm.activities.phone.0: "),
    ],
)
def test_a_wrong_section_is_named(text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its key."""
    path = tmp_path / "wfm.toml"
    path.write_text(text)
    assert main(["wfm", "times", "--config", str(path), "--day", "2026-11-23"]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("day", ["2026-13-01", "today", "0001-01-01"])
def test_a_day_is_a_day(day: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is wrong usage."""
    with pytest.raises(SystemExit):
        main(["wfm", "times", "--config", str(config), "--day", day])
    assert day in capsys.readouterr().err
