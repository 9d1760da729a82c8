"""`run`, `tail`, `state` and `demo` as processes: exit codes, pipes, signals, and no secret anywhere."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import NewTopic

from tests.commands.shell import Cli, Process, StartVendor, eventually
from tests.conftest import Topics
from tests.kafka_server import KafkaServer
from tests.topics import make

WriteConfig = Callable[..., Path]


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http, on loopback
        return answer.read().decode()


@pytest.fixture
def running(config: WriteConfig, kafka: str, vendor: StartVendor) -> Iterator[tuple[Process, Path, str]]:
    """A `run` whose first events are committed: the process, its configuration, the wallboard's address."""
    file = config({"bootstrap_servers": kafka}, {"url": vendor(floor="brisk", agents=30), "poll_interval": 0.2})
    with Process("run", "--config", file) as process:
        address = process.until(r'"address": "(http://[^"]+)"')[1]
        process.until(r'"status": "live"')
        eventually(lambda: json.loads(get(f"{address}/state.json"))["agents"], "the first commit")
        yield process, file, address


def test_tail_and_state_show_what_run_commits(running: tuple[Process, Path, str], cli: Cli) -> None:
    """Plain lines, JSON lines, one extension, from the beginning; SIGINT ends `tail` quietly with 0."""
    _, file, _ = running
    shown = cli("state", "--config", file, "--json")
    assert (shown.code, shown.err) == (0, "")
    states = [json.loads(line) for line in shown.out.splitlines()]
    assert states
    assert {record["type"] for record in states} == {"AgentState"}
    extension = states[0]["extension"]
    plain = cli("state", "--config", file)
    assert "\x1b" not in plain.out
    assert plain.out.splitlines()[-1].endswith(" extensions")

    with Process("tail", "--config", file, "--from", "beginning", "--json", "--extension", extension) as tail:
        tail.until(r"first_seen")
        tail.signal(signal.SIGINT)
        done = tail.end()
    assert (done.code, done.err) == (0, "")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert {event["extension"] for event in events} == {extension}
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))

    with Process("tail", "--config", file) as tail:
        tail.until(r"floor/\d+  \w+ → \w+")
        tail.signal(signal.SIGTERM)
        done = tail.end()
    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_reader_of_tail_may_go_away(running: tuple[Process, Path, str], more: tuple[str, ...]) -> None:
    """`tail | head` ends with 0 and without a word."""
    _, file, _ = running
    read, write = os.pipe()
    with Process("tail", "--config", file, "--from", "beginning", *more, stdout=write) as tail:
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            assert pipe.readline()
        done = tail.end()
    assert (done.code, done.err) == (0, "")


def test_run_ends_in_order_on_sigterm(running: tuple[Process, Path, str]) -> None:
    """Exit code 0, the feed's end is told, no traceback."""
    process, _, address = running
    assert get(f"{address}/readyz")
    process.signal(signal.SIGTERM)
    done = process.end()
    assert done.code == 0
    assert "Traceback" not in done.text
    assert '"status": "stopped"' in done.err


def status(url: str, token: str) -> int:
    """What is answered to whoever sends that token."""
    asking = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - as above
    try:
        with urllib.request.urlopen(asking, timeout=10) as answer:  # noqa: S310
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_the_pages_token_is_the_one_that_the_file_holds(config: WriteConfig, tmp_path: Path) -> None:
    """`run` reads it, and without it does not begin; nobody else gets in."""
    token = tmp_path / "token"
    file = config()
    file.write_text(file.read_text().replace("[http]", f'[http]\ntoken_file = "{token}"'))
    with Process("run", "--config", file) as process:
        done = process.end()
    assert done.code == 2
    assert f"http.token_file: cannot read {token}" in done.err
    token.write_text("t0ken-of-the-board\n")
    with Process("run", "--config", file) as process:
        address = process.until(r'"address": "(http://[^"]+)"')[1]
        answered = [status(f"{address}/state.json", secret) for secret in ("t0ken-of-the-board", "unused", "")]
        assert answered == [200, 401, 401]
        process.signal(signal.SIGTERM)
        assert process.end().code == 0


def test_a_taken_port_is_exit_code_2(cli: Cli, config: WriteConfig) -> None:
    """Before anything else is begun."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli("run", "--config", config(), "--listen", f"127.0.0.1:{port}")
    assert done.code == 2
    assert f"streamer: http.listen: cannot listen on 127.0.0.1:{port}: " in done.err
    assert "Traceback" not in done.err


def test_a_wrong_kafka_password_is_exit_code_3(
    config: WriteConfig, sasl_kafka: KafkaServer, vendor: StartVendor
) -> None:
    """Waiting would not help; the password stays unseen, also at debug level."""
    kafka = {
        "bootstrap_servers": sasl_kafka.bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_plain_username": "alice",
        "sasl_plain_password": "wr0ng-password",
    }
    with Process("run", "--config", config(kafka, {"url": vendor()}), "--log-level", "debug") as process:
        done = process.end()
    assert done.code == 3
    assert "refused our log-in" in done.err.splitlines()[-1]
    assert "wr0ng-password" not in done.text


def test_topics_that_are_wrong_are_exit_code_2(
    cli: Cli, config: WriteConfig, kafka: str, vendor: StartVendor, topics: Topics
) -> None:
    """Refused with the remedy."""
    make(kafka, NewTopic(topics.state, 12, 1))
    done = cli("run", "--config", config({"bootstrap_servers": kafka}, {"url": vendor()}))
    assert done.code == 2
    assert "cleanup.policy is delete, not compact" in done.err.splitlines()[-1]


def test_no_secret_leaves_a_run_in_which_everything_goes_wrong(
    config: WriteConfig, sasl_kafka: KafkaServer, vendor: StartVendor, topics: Topics
) -> None:
    """Key, tokens and password occur on no topic, page, metric or log line at debug level."""
    # The vendor's damage quotes what was sent where an installation would: in rows, pages and messages.
    faults = (
        "every=2:garbage_row,every=7:html,every=11:status1,every=13:ret600,every=17:truncated,every=19:http500,"
        "every=23:redirect,every=29:datalist"
    )
    seen = Path(os.devnull)
    for right in ("READ", "WRITE", "DESCRIBE", "CREATE", "DESCRIBE_CONFIGS"):
        sasl_kafka.grant("alice", right, "TOPIC", topics.prefix, prefix=True)
    sasl_kafka.grant("alice", "WRITE", "TRANSACTIONAL_ID", topics.prefix, prefix=True)
    sasl_kafka.grant("alice", "CREATE", "BROKER", "kafka-cluster")
    kafka = {
        "bootstrap_servers": sasl_kafka.bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_plain_username": "alice",
        "sasl_plain_password": "alice-password",
    }
    url = vendor(agents=10, accesskey="5e5ame-key", faults=faults, truth=seen)
    with echoing(url) as (echo, tokens):
        file = config(kafka, {"url": echo, "accesskey": "5e5ame-key", "poll_interval": 0.1})
        with Process("run", "--config", file, "--log-level", "debug") as process:
            address = process.until(r'"address": "(http://[^"]+)"')[1]
            eventually(lambda: rejected(sasl_kafka, topics), "rejected records")
            eventually(lambda: len(tokens) >= 2, "a second log-in")
            pages = "".join(get(f"{address}/{page}") for page in ("", "state.json", "metrics", "healthz"))
            process.signal(signal.SIGTERM)
            done = process.end()
    assert "Traceback" not in done.text
    kept = "".join(rejected(sasl_kafka, topics))
    assert "x *** x" in kept
    assert "<html>You sent" in kept
    everything = done.text + pages + kept
    for secret in ("5e5ame-key", "alice-password", *tokens):
        assert secret not in everything, f"{secret} in …{context(everything, secret)}…"


def context(text: str, secret: str) -> str:
    place = text.index(secret)
    return text[max(0, place - 300) : place + 100]


def rejected(server: KafkaServer, topics: Topics) -> list[str]:
    """Every record on every topic, if there is one among the rejected."""

    async def read() -> list[str]:
        names = (topics.rejected, topics.feed, topics.state, topics.events)
        consumer: Any = AIOKafkaConsumer(*names, auto_offset_reset="earliest", **server.client_options())
        found: list[str] = []
        await consumer.start()
        try:
            ends = await consumer.end_offsets(list(consumer.assignment()))
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [f"{record.topic} {record.headers} {record.key} {record.value}" for record in records]
        finally:
            await consumer.stop()
        return found if any(text.startswith(topics.rejected) for text in found) else []

    return asyncio.run(read())


class echoing:
    """A proxy before the vendor that repeats the form it was sent in pages, messages and rows that it spoils."""

    def __init__(self, url: str) -> None:
        tokens: set[str] = set()
        counts = [0]

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None: ...

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"]))
                fields = dict(urllib.parse.parse_qsl(form.decode()))
                request = urllib.request.Request(url, data=form)  # noqa: S310
                try:
                    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                        status, body = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    with error:
                        status, body = error.code, error.read()
                token = fields.get("token", "")
                if token:
                    tokens.add(token)
                    counts[0] += 1
                    match counts[0] % 6:
                        case 1:
                            body = f"<html>You sent {fields} {form.decode()}</html>".encode()
                        case 2:
                            body = body.replace(b'"result": [', b'"result": ["x %s x",' % token.encode())
                            body = body.replace(b'"result":[', b'"result":["x %s x",' % token.encode())
                        case 3:
                            failure = {"code": "1002", "codemsg": f"wrong: {fields}"}
                            body = json.dumps({"ret": 200, "data": {"status": 1, "errors": failure}}).encode()
                        case 4:
                            body = json.dumps({"ret": 500, "data": [], "msg": f"failed for {form.decode()}"}).encode()
                        case _:
                            pass
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._tokens = tokens

    def __enter__(self) -> tuple[str, set[str]]:
        self._thread.start()
        return self._address, self._tokens

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_the_demo_shows_events_within_five_seconds_of_its_start() -> None:
    """Address, events, a summary; the page and its state answer; nothing to install."""
    with Process("demo", "--duration", "5", "--listen", "127.0.0.1:0", "--agents", "20") as demo:
        address = demo.until(r"wallboard\s+(http://\S+)/")[1]
        demo.until(r"demo/\d+ .* → \w+", patience=5.0)
        assert "Wallboard" in get(f"{address}/")
        done = demo.end()
    assert (done.code, done.err) == (0, "")
    assert "── " in done.out.splitlines()[-1]
    assert "extensions: " in done.out.splitlines()[-1]
    assert "\x1b" not in done.out
    assert done.seconds < 12


def test_ctrl_c_ends_the_demo_cleanly() -> None:
    """As the usual way out."""
    with Process("demo", "--listen", "127.0.0.1:0", "--agents", "5") as demo:
        demo.until(r"demo/\d+ .* → \w+")
        demo.signal(signal.SIGINT)
        done = demo.end()
    assert (done.code, done.err) == (0, "")


def test_a_reader_of_the_demo_may_go_away() -> None:
    """`demo | head` ends with 0 and without a word."""
    read, write = os.pipe()
    with Process("demo", "--listen", "127.0.0.1:0", "--agents", "5", stdout=write) as demo:
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            assert pipe.readline()
        done = demo.end()
    assert (done.code, done.err) == (0, "")


def test_the_demo_takes_a_real_kafka(kafka: str) -> None:
    """Then its deliveries are exactly once, and it says nothing of an embedded broker."""
    options = ("--bootstrap-servers", kafka, "--listen", "127.0.0.1:0", "--agents", "5")
    with Process("demo", *options) as demo:
        demo.until(r"demo/\d+ .* → \w+")
        demo.signal(signal.SIGTERM)
        done = demo.end()
    assert (done.code, done.err) == (0, "")
    assert "embedded" not in done.out


def test_the_simulator_says_where_it_is_and_how_to_log_in(tmp_path: Path) -> None:
    """One line; a signal ends it with the truth on file."""
    truth = tmp_path / "truth.jsonl"
    with Process("simulate", "--port", "0", "--agents", "3", "--truth", truth) as simulator:
        simulator.until(r"^simulating 3 agents at http://127\.0\.0\.1:\d+ appid=app-1 accesskey=key-1\n")
        simulator.signal(signal.SIGTERM)
        done = simulator.end()
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 1
    assert truth.read_text()


def test_a_reader_of_schemas_may_go_away() -> None:
    """Of any command's output."""
    read, write = os.pipe()
    os.close(read)
    with Process("schemas", stdout=write) as process:
        os.close(write)
        done = process.end()
    assert (done.code, done.err) == (0, "")


def test_output_that_is_not_wanted_is_not_missed() -> None:
    """To the null device, as a service runs."""
    with Process("schemas", stdout=subprocess.DEVNULL) as process:
        assert process.end().code == 0
