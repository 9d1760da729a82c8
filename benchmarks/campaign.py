"""Hundreds of faults on real processes and a real broker: nothing may be lost, doubled or out of order.

    .venv/bin/python -m benchmarks.campaign --folder DIR [--kills 200] [--broker-kills 30] [--network 100] [--docs docs]

Two instances of `streamer run` share the sources in a group. Faults are drawn from the seed in legs of some minutes;
each leg has its own broker, floors and topics, and is audited by itself. Killed or interrupted, the command goes on
with the next leg. DIR/progress.jsonl has a line for each fault, DIR/legs.jsonl one for each audited leg, DIR/leg-N the
logs. Exit code 0 only if no leg has shown a violation.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from random import Random
from types import FrameType

import msgspec

from benchmarks.campaign_checks import judge
from benchmarks.campaign_faults import Fault, Outcome, await_recovery, do, draw, remaining
from benchmarks.campaign_follower import save
from benchmarks.campaign_outbox import kept_batches
from benchmarks.campaign_report import Leg, page, today
from benchmarks.campaign_site import Site
from tests.conftest import Topics
from tests.e2e.audit import Audit, audit
from tests.validation import validate

CALM = 5.0
"""Seconds in which all feeds are live before a leg ends."""

COUNTS = {
    "kill": ("kills", 200, "kill -9 of an instance, started again after 0 to 10 s"),
    "broker kill": ("broker-kills", 30, "kill -9 of the broker"),
    "network": ("network", 100, "delay, cut or half-open connections between an instance and Kafka or a source"),
    "take-over": ("take-overs", 20, "kill -9 of an instance that stays away until the other has taken over"),
    "zombie": ("zombies", 5, "an instance stopped for a minute"),
    "stop": ("stops", 40, "an instance stopped for 1 to 60 s"),
    "broker freeze": ("broker-freezes", 15, "the broker stopped for 2 to 8 s"),
    "clock jump": ("clock-jumps", 20, "an instance's wall clock jumps, and back"),
    "full disk": ("full-disks", 10, "an instance whose outbox can hardly grow, while Kafka is away"),
}
"""By kind of fault: the option, how many without it, what it is."""


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    for name, count, text in COUNTS.values():
        parser.add_argument(f"--{name}", type=int, default=count, help=f"{text} ({count})")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--agents", type=int, default=200, help="of each source")
    parser.add_argument("--sources", type=int, default=5)
    parser.add_argument("--leg-minutes", type=float, default=10, help="after which a leg ends and is audited")
    parser.add_argument("--docs", type=Path, help="folder in which campaign.md is written")
    return parser.parse_args()


def main() -> int:
    """Run the legs that are left, report all of them; 1 if a promise was broken."""
    asked = arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    asked.folder.mkdir(parents=True, exist_ok=True)
    wanted = {kind: getattr(asked, name.replace("-", "_")) for kind, (name, _, _) in COUNTS.items()}
    kept = asked.folder / "legs.jsonl"
    legs = [msgspec.json.decode(line, type=Leg) for line in kept.read_bytes().splitlines()] if kept.exists() else []
    while any(left := remaining(wanted, _done(legs)).values()) or not legs:
        left = remaining(wanted, _done(legs))
        leg = run_leg(asked, len(legs) + 1, left)
        save(kept, msgspec.to_builtins(leg))
        legs.append(leg)
        print(f"leg {leg.number}: {leg.counts}  events {leg.events}  violations {len(leg.violations)}", flush=True)
    text = page(legs)
    print(text)
    if asked.docs is not None:
        (asked.docs / "campaign.md").write_text(text)
    return int(any(leg.violations for leg in legs))


def _leave(number: int, _: FrameType | None) -> None:
    """Every process is ended on the way out."""
    sys.exit(128 + number)


def _done(legs: list[Leg]) -> Counter[str]:
    done: Counter[str] = Counter()
    for leg in legs:
        done.update(leg.counts)
    return done


def run_leg(asked: argparse.Namespace, number: int, left: dict[str, int]) -> Leg:
    """Processes, faults, calm, end, audit."""
    leg = Leg(number, asked.seed, asked.agents, asked.sources)
    folder = asked.folder / f"leg-{number}"
    shutil.rmtree(folder, ignore_errors=True)  # of a leg that was not finished
    folder.mkdir()
    tempfile.tempdir = str(folder)  # the broker's data, too, goes with a leg that was not finished
    topics = Topics(f"campaign-{uuid.uuid4().hex[:8]}")
    chance = Random(f"{asked.seed}/{number}")
    begun = time.monotonic()
    seed = chance.randrange(10_000)
    with Site(folder, topics, sources=asked.sources, agents=asked.agents, seed=seed) as site:
        if site.shim is None:
            left = {**left, "clock jump": 0}
        _settle(site, leg)
        while any(left.values()) and time.monotonic() < begun + asked.leg_minutes * 60:
            fault = draw(chance, left)
            left[fault.kind] -= 1
            outcome = do(fault, site)
            _note(leg, fault, outcome, asked.folder, time.monotonic() - begun)
        _settle(site, leg)
        _end(site, leg)
    leg.seconds, leg.ended = time.monotonic() - begun, today()
    return leg


def _note(leg: Leg, fault: Fault, outcome: Outcome, folder: Path, at: float) -> None:
    leg.counts[fault.kind] = leg.counts.get(fault.kind, 0) + 1
    leg.names[fault.name] = leg.names.get(fault.name, 0) + 1
    leg.gaps.setdefault(fault.name, []).extend(outcome.gaps.values())
    if outcome.gaps:
        leg.worst.setdefault(fault.name, []).append(max(outcome.gaps.values()))
    leg.violations += [f"{fault.name} of {fault.victim} at {at:.0f} s: {line}" for line in outcome.violations]
    if outcome.take_over is not None:
        leg.take_overs.append(outcome.take_over)
    if fault.kind in ("zombie", "full disk"):
        notes = leg.notes.setdefault(fault.kind, {})
        notes[outcome.note] = notes.get(outcome.note, 0) + 1
    seen = {"take_over": outcome.take_over, "note": outcome.note, "violations": outcome.violations}
    line = {"leg": leg.number, "at": at, "name": fault.name, **asdict(fault), "gaps": outcome.gaps, **seen}
    save(folder / "progress.jsonl", line)
    silence = f"{max(outcome.gaps.values()):.1f} s silent" if outcome.gaps else "not waited for"
    print(f"{at:6.0f} s  {fault.name} of {fault.victim}: {silence}  {outcome.note}", flush=True)
    for violation in outcome.violations:
        print(f"    {violation}", flush=True)


def _settle(site: Site, leg: Leg) -> None:
    """Until all feeds are live, and a while longer."""
    outcome = Outcome()
    await_recovery(site, time.monotonic(), outcome)
    time.sleep(CALM)
    deadline = time.monotonic() + 30
    while not site.follower.live() and time.monotonic() < deadline:
        time.sleep(0.1)
    leg.violations += [f"while calm: {line}" for line in outcome.violations]


def _end(site: Site, leg: Leg) -> None:
    """Stop the instances in order, then hold everything against the truth."""
    for instance in site.instances.values():
        instance.signal(signal.SIGTERM)
    for instance in site.instances.values():
        code = instance.wait()
        if code != 0:
            leg.violations.append(f"instance {instance.name} was stopped and ended with {code}: {instance.complaint()}")
    ended = time.time()
    time.sleep(0.5)  # the floors write their truth five times a second
    site.follower.catch_up()
    leg.violations += [f"the follower: {line}" for line in site.follower.order_violations]
    try:
        read = audit(site.broker.bootstrap, site.topics)
        read.feeds = site.follower.feeds  # the topic is compacted: it does not hold all of them any more
        for feed in read.feeds:
            validate(feed)
        left = [batch for one in site.instances.values() for batch in kept_batches(one.name, one.outbox)]
        found = judge(read, site.truths, site.kept, left, ended)
    except AssertionError as error:  # an invalid record
        leg.violations.append(str(error).splitlines()[0])
        return
    leg.violations += found.violations
    if leg.violations:
        keep_evidence(site, read)
    leg.events, leg.feeds = found.events, found.feeds
    leg.marks = found.marks
    leg.overtaken = found.overtaken
    leg.superseded, leg.tenures = found.superseded, found.tenures
    score = found.score
    leg.true, leg.found, leg.told, leg.right, leg.held = score.true, score.found, score.told, score.right, score.held


def keep_evidence(site: Site, read: Audit) -> None:
    """What the topics and the outboxes held, beside the logs and the truth: the broker's data is deleted."""
    kept = [asdict(batch) for batch in site.kept]
    for name, records in (("events", read.events), ("feeds", read.feeds), ("rejected", read.rejected), ("kept", kept)):
        with gzip.open(site.folder / f"{name}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)


if __name__ == "__main__":
    sys.exit(main())
