"""The configuration: file, environment, flags; what is wrong is named with its place, what is secret never shown."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.config import Config, Source
from streamer.configure import SECTIONS, build, load
from streamer.errors import ConfigError

CONTRACT = """
[kafka]
bootstrap_servers = "localhost:9092"
events_topic   = "agent-state-changed"
state_topic    = "agent-state"
feed_topic     = "agent-state-feed"
rejected_topic = "agent-state-rejected"
delivery       = "exactly_once"

[http]
listen = "127.0.0.1:8080"

[[sources]]
name = "floor"
url = "http://127.0.0.1:18080"
appid = "app-1"
accesskey_env = "FLOOR_ACCESSKEY"
poll_interval = 1.0
timezone = "Asia/Shanghai"
queuename = ""
wrap_up = true
codes = { 1216 = "paused" }
callback_secret_env = "FLOOR_CALLBACK"

[outbox]
max_bytes = "256 MiB"

[gate]
absent_min = 3
absent_share = 0.1
confirm_polls = 3
max_delay = 60

[state]
forget_after = "30d"

[feed]
heartbeat = 10
"""
ENV = {"FLOOR_ACCESSKEY": "sesame", "FLOOR_CALLBACK": "hush"}


def source(**more: Any) -> dict[str, Any]:
    return {"name": "floor", "url": "http://127.0.0.1:1", "appid": "app-1", "accesskey": "sesame", **more}


def made(env: dict[str, str] | None = None, flags: dict[str, Any] | None = None, **raw: Any) -> Config:
    return build({"sources": [source()], **raw}, env or {}, flags, where="x.toml")


def refused(env: dict[str, str] | None = None, **raw: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        made(env, **raw)
    assert raised.value.remedy
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_contracts_example_loads(tmp_path: Path) -> None:
    """Every key of it, with secrets from the environment."""
    file = tmp_path / "streamer.toml"
    file.write_text(CONTRACT)
    config = load(file, ENV)
    (floor,) = config.sources
    assert floor.accesskey is not None
    assert floor.accesskey.get_secret_value() == "sesame"
    assert floor.callback_secret is not None
    assert floor.codes == {1216: "paused"}
    assert config.outbox.max_bytes == 256 * 2**20
    assert config.state.forget_after == 30 * 86_400
    assert config.settings(floor).max_delay_ms == 60_000


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"cluster": {}, "kafka": {"delivery": "at_least_once"}}, ["cluster", "kafka.delivery must be exactly_once"]),
        ({"cluster": {"instance": "a b"}}, ["cluster.instance"]),
        ({"cluster": {"slots": 0}}, ["cluster.slots"]),
    ],
)
def test_a_group_that_cannot_be_is_refused_in_words(sections: dict[str, Any], words: list[str]) -> None:
    """Before anything is started."""
    message = refused(**sections)
    assert all(word in message for word in words), message


def leaves() -> list[tuple[str, str]]:
    return [(section, key) for section, model in SECTIONS.items() for key in model.model_fields] + [
        ("sources", key) for key in Source.model_fields
    ]


@pytest.mark.parametrize(("section", "key"), leaves())
def test_every_key_can_come_from_the_environment(section: str, key: str) -> None:
    """The variable reaches the key: it wins over the file, or its value is refused by the variable's name."""
    if section == "sources":
        name = f"STREAMER_SOURCES__FLOOR__{key.upper()}"
    else:
        name = f"STREAMER_{section.upper()}__{key.upper()}"
    if key == "codes":
        name += "__1216"
    required = {"wfm": ("PATH", "there"), "audit": ("PATH", "there"), "registry": ("URL", "http://registry")}
    needed = {f"STREAMER_{section.upper()}__{needs[0]}": needs[1]} if (needs := required.get(section)) else {}
    config, refusal = None, ""
    try:
        config = made({**needed, name: "77"})
    except ConfigError as error:
        refusal = str(error)
    if config is None:
        assert key in refusal or "cluster" in refusal or "path: missing" in refusal
        return
    table: Any = config.sources[0] if section == "sources" else getattr(config, section)
    value = getattr(table, key)
    assert "77" in str(value.get_secret_value() if hasattr(value, "get_secret_value") else value) or key == "wrap_up"


def test_flags_win_over_the_environment_and_that_over_the_file() -> None:
    """In this order, key by key."""
    kafka = {"bootstrap_servers": "file:1", "events_topic": "from-file"}
    env = {"STREAMER_KAFKA__BOOTSTRAP_SERVERS": "env:1"}
    assert made(kafka=dict(kafka)).kafka.bootstrap_servers == "file:1"
    assert made(env, kafka=dict(kafka)).kafka.bootstrap_servers == "env:1"
    config = made(env, {"kafka.bootstrap_servers": "flag:1"}, kafka=dict(kafka))
    assert (config.kafka.bootstrap_servers, config.kafka.events_topic) == ("flag:1", "from-file")


def test_a_source_with_hyphens_is_named_with_underscores() -> None:
    """Also where one source's name begins like another's."""
    raw = [source(name="call-centre"), source(name="call"), source(name="call--centre")]
    env = {
        "STREAMER_SOURCES__CALL_CENTRE__QUEUENAME": "one",
        "STREAMER_SOURCES__CALL__QUEUENAME": "two",
        "STREAMER_SOURCES__CALL__CENTRE__QUEUENAME": "three",
    }
    config = build({"sources": raw}, env)
    assert [s.queuename for s in config.sources] == ["one", "two", "three"]


def test_several_codes_from_the_environment_join_those_of_the_file() -> None:
    """Each variable is one code."""
    env = {
        "STREAMER_SOURCES__FLOOR__CODES__1216": "paused",
        "STREAMER_SOURCES__FLOOR__CODES__1299": "busy",
    }
    config = made(env, sources=[source(codes={"1216": "idle", "7": "offline"})])
    assert config.sources[0].codes == {1216: "paused", 1299: "busy", 7: "offline"}


def test_a_secret_from_the_environment_replaces_the_files_whichever_way_it_was_given() -> None:
    """The file's accesskey_env is no second secret beside the variable's accesskey."""
    without = {k: v for k, v in source(accesskey_env="NOT_SET").items() if k != "accesskey"}
    config = made({"STREAMER_SOURCES__FLOOR__ACCESSKEY": "other"}, sources=[without])
    assert config.sources[0].accesskey is not None
    assert config.sources[0].accesskey.get_secret_value() == "other"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("STREAMER_KAFKA__BOOTSTRAP_SERVER", "STREAMER_KAFKA__BOOTSTRAP_SERVERS"),
        ("STREAMER_KAFKKA__DELIVERY", "STREAMER_KAFKA__DELIVERY"),
        ("STREAMER_KAFKA_BOOTSTRAP_SERVERS", "STREAMER_KAFKA__BOOTSTRAP_SERVERS"),
        ("STREAMER_SOURCES__FLOOR__POL_INTERVAL", "STREAMER_SOURCES__FLOOR__POLL_INTERVAL"),
        ("STREAMER_SHUTDOWN_TIMOUT", "STREAMER_SHUTDOWN_TIMEOUT"),
    ],
)
def test_a_misspelt_variable_is_an_error_that_names_the_nearest(name: str, near: str) -> None:
    """As a misspelt key in the file is."""
    message = refused({name: "1"})
    assert name in message
    assert f"did you mean {near}?" in message


@pytest.mark.parametrize(
    "name",
    ["STREAMER_TEST_KAFKA", "STREAMER_SERVICE_HOST", "STREAMER_PORT_8080_TCP", "STREAMER_HOME", "OTHER__KEY"],
)
def test_variables_that_are_no_configuration_are_ignored(name: str) -> None:
    """Test settings, and what a cluster injects for a service of our name."""
    assert made({name: "tcp://10.0.0.1:1"}) == made()


def test_a_variable_that_a_key_names_may_be_called_anything() -> None:
    """Even like a configuration variable."""
    without = {k: v for k, v in source(accesskey_env="STREAMER_FLOOR__KEY").items() if k != "accesskey"}
    assert made({"STREAMER_FLOOR__KEY": "x"}, sources=[without]).sources[0].accesskey


def test_a_variable_for_an_unknown_source_lists_the_known_ones() -> None:
    """The file is named as well."""
    message = refused({"STREAMER_SOURCES__FLOR__URL": "http://x"})
    assert "x.toml does not have" in message
    assert "its sources are: floor" in message


def test_a_wrong_value_is_blamed_on_where_it_came_from() -> None:
    """A variable or a flag, not the file."""
    assert refused({"STREAMER_GATE__ABSENT_MIN": "many"}).startswith("STREAMER_GATE__ABSENT_MIN: gate.absent_min: ")
    with pytest.raises(ConfigError, match=r"^--listen: http\.listen: 'nowhere' is not HOST:PORT"):
        made({}, {"http.listen": "nowhere"})


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"kafka": {"bootstrap_server": "x:1"}}, ["kafka.bootstrap_server: unknown key", "'bootstrap_servers'"]),
        ({"sorces": []}, ["sorces: unknown key", "'sources'"]),
        ({"sources": [source(pol_interval=1)]}, ["sources.floor.pol_interval: unknown key", "'poll_interval'"]),
        ({"http": {"listn": ""}}, ["http.listn: unknown key", "'listen'"]),
        ({"gate": {"confirm": 3}}, ["gate.confirm: unknown key", "'confirm_polls'"]),
        ({"state": {"forget": 3}}, ["state.forget: unknown key", "'forget_after'"]),
        ({"feed": {"hartbeat": 3}}, ["feed.hartbeat: unknown key", "'heartbeat'"]),
        ({"outbox": {"max_byte": 3}}, ["outbox.max_byte: unknown key", "'max_bytes'"]),
        ({"cluster": {"grup": "x"}}, ["cluster.grup: unknown key", "'group'"]),
        ({"sources": []}, ["sources: "]),
        ({"sources": {"floor": {}}}, ["sources: ", "[[sources]]"]),
        ({"sources": [{"name": "floor"}]}, ["sources.floor.url: missing"]),
        ({"sources": [source(), source()]}, ["two sources are called 'floor'"]),
        ({"sources": [source(name="Floor_1")]}, ["sources.Floor_1.name"]),
        ({"sources": [source(timezone="Asia/Shangai")]}, ["sources.floor.timezone: 'Asia/Shangai'"]),
        ({"sources": [source(timezone="../../etc/passwd")]}, ["timezone"]),
        ({"sources": [source(state=1)]}, ["sources.floor.state: ", "remove the key"]),
        ({"sources": [source(codes={"1216": "on-break"})]}, ["sources.floor.codes: 'on-break'", "paused"]),
        ({"sources": [source(codes={"many": "paused"})]}, ["sources.floor.codes"]),
        ({"sources": [source(url="vendor:8080")]}, ["sources.floor.url: must be http://host:port"]),
        ({"sources": [source(url="http://h:99999")]}, ["sources.floor.url: its host or port"]),
        ({"sources": [source(url="http://[x")]}, ["sources.floor.url: its host or port"]),
        ({"sources": [source(poll_interval=0.01)]}, ["sources.floor.poll_interval"]),
        ({"sources": [source(poll_interval=float("nan"))]}, ["sources.floor.poll_interval"]),
        ({"sources": [source(appid="")]}, ["sources.floor: no way to log in"]),
        ({"sources": [source(accesskey="")]}, ["sources.floor: no way to log in"]),
        ({"sources": [source(max_body="1 XB")]}, ["sources.floor.max_body"]),
        ({"sources": [source(max_body="1 iB")]}, ["sources.floor.max_body"]),
        ({"kafka": {"state_topic": "agent-state-changed"}}, ["each topic needs a name of its own"]),
        ({"kafka": {"state_topic": "a b"}}, ["'a b' cannot be a topic's name"]),
        ({"kafka": {"state_topic": ".."}}, ["'..' cannot be a topic's name"]),
        ({"kafka": {"bootstrap_servers": "localhost"}}, ["kafka.bootstrap_servers: 'localhost' is not HOST:PORT"]),
        ({"kafka": {"bootstrap_servers": "a:1,"}}, ["kafka.bootstrap_servers: '' is not HOST:PORT"]),
        ({"kafka": {"security_protocol": "SASL_PLAINTEXT"}}, ["kafka.sasl_plain_username: missing"]),
        (
            {"kafka": {"security_protocol": "SASL_SSL", "sasl_plain_username": "u"}},
            ["kafka.sasl_plain_password: missing"],
        ),
        ({"http": {"listen": ":8080"}}, ["http.listen: ':8080' is not HOST:PORT"]),
        ({"kafka": 5}, ["kafka: "]),
        ({"shutdown_timeout": "soon"}, ["shutdown_timeout: "]),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(raw: dict[str, Any], words: list[str]) -> None:
    """One line, with a remedy; for an unknown key the nearest known one."""
    message = refused(**raw)
    assert message.startswith("x.toml: ")
    assert all(word in message for word in words), message


@pytest.mark.parametrize("section", [5, "text", ["x"], None])
def test_a_variable_for_a_section_that_is_no_table_is_an_error_all_the_same(section: object) -> None:
    """The section is what is wrong."""
    assert "kafka" in refused({"STREAMER_KAFKA__DELIVERY": "exactly_once"}, kafka=section)


@pytest.mark.parametrize(
    ("text", "size"), [("256 MiB", 2**28), ("1kb", 1000), ("2 GB", 2 * 10**9), ("17", 17), (17, 17), ("5 B", 5)]
)
def test_sizes_are_numbers_or_text(text: str | int, size: int) -> None:
    """Binary and decimal units."""
    assert made(outbox={"max_bytes": text}).outbox.max_bytes == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 2_592_000), ("1.5h", 5400), ("10 m", 600), ("250ms", 0.25), ("3", 3), (4.5, 4.5)]
)
def test_spans_are_seconds_or_text(text: str | float, seconds: float) -> None:
    """Units from milliseconds to days."""
    assert made(state={"forget_after": text}).state.forget_after == seconds


def test_a_secret_in_a_file_is_read_without_its_newline(tmp_path: Path) -> None:
    """As an editor or a secret store leaves it."""
    (tmp_path / "key").write_text("sesame\n")
    without = {k: v for k, v in source(accesskey_file=str(tmp_path / "key")).items() if k != "accesskey"}
    found = made(sources=[without]).sources[0].accesskey
    assert found is not None
    assert found.get_secret_value() == "sesame"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"accesskey_env": "FLOOR_ACCESSKEY"}, ["FLOOR_ACCESSKEY is not set", "export FLOOR_ACCESSKEY="]),
        ({"accesskey_file": "/nowhere/key"}, ["cannot read /nowhere/key: No such file"]),
        ({"accesskey_file": "/"}, ["cannot read /: Is a directory"]),
        ({"accesskey_file": "/\0"}, ["accesskey_file: cannot read"]),
        ({"accesskey_file": "/dev/null"}, ["/dev/null is empty"]),
        ({"accesskey": "a", "accesskey_env": "B"}, ["accesskey and accesskey_env exclude each other"]),
    ],
)
def test_a_secret_that_is_not_there_is_named_with_its_place(given: dict[str, Any], words: list[str]) -> None:
    """Key, file, variable or path, and what to do."""
    message = refused(sources=[{k: v for k, v in source().items() if k != "accesskey"} | given])
    assert message.startswith("x.toml: sources.floor")
    assert all(word in message for word in words), message


@pytest.mark.parametrize("key", ["accesskey_env", "accesskey_file", "token_env", "callback_secret_file"])
def test_a_secret_put_in_place_of_its_variable_or_file_is_not_shown(key: str) -> None:
    """A likely mistake, whose message must not give the secret away."""
    for text in ("c0ffee5e5ame", "C0FFEE5E5AME", "sk_live_5e5ame"):
        message = refused(sources=[{k: v for k, v in source().items() if k not in ("accesskey", key)} | {key: text}])
        assert text not in message
        assert key in message


def test_secrets_are_in_no_representation() -> None:
    """Neither repr nor str nor dump nor digest."""
    config = build(
        {
            "sources": [source(callback_secret="5e5ame-callback", token="5e5ame-token", accesskey="5e5ame-key")],
            "kafka": {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_plain_username": "u",
                "sasl_plain_password": "5e5ame-password",
                "ssl_password": "5e5ame-tls",
            },
        },
        {},
    )
    shown = f"{config!r} {config} {config.model_dump()} {config.model_dump_json()} {config.digest}"
    assert "5e5ame" not in shown


@pytest.mark.parametrize(
    "place", [{"url": "http://u:5e5ame@h"}, {"accesskey": ["5e5ame"]}, {"accesskey": {"5": "5e5ame"}}, {"token": 5e5}]
)
def test_errors_show_no_value_of_a_secret(place: dict[str, Any]) -> None:
    """Also where it has the wrong type or the wrong place."""
    assert "5e5ame" not in refused(sources=[source(**place)])


def test_the_digest_tells_two_configurations_apart() -> None:
    """And not two listening addresses."""
    assert made().digest != made(gate={"absent_min": 4}).digest
    assert made().digest == made(http={"listen": "127.0.0.1:9"}, outbox={"path": "kept"}, cluster={}).digest


def test_secrets_that_a_command_does_not_need_may_be_missing(tmp_path: Path) -> None:
    """Who reads topics has no business with the vendor's key; a replay with none at all."""
    file = tmp_path / "streamer.toml"
    file.write_text(CONTRACT.replace("[http]", 'sasl_plain_password_env = "NOT_SET"\n[http]'))
    load(file, {}, needs=[])
    with pytest.raises(ConfigError, match=r"kafka\.sasl_plain_password_env"):
        load(file, {}, needs=["kafka"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[kafka\n", "not valid TOML: "),
        (b"\xff\xfe", "not valid TOML: "),
        (b"a = " + b"[" * 100_000, "not valid TOML: "),
        (b"", "sources: missing"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    """Broken, binary, nested without end, empty."""
    file = tmp_path / "streamer.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load(file, {})
    assert str(raised.value).startswith(f"{file}: {words}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """And a directory likewise."""
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path, {})


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
spoilt = st.fixed_dictionaries(
    {},
    optional={
        section: junk | st.dictionaries(st.sampled_from(sorted(model.model_fields)), junk, max_size=3)
        for section, model in SECTIONS.items()
    }
    | {
        "sources": junk
        | st.lists(
            junk
            | st.dictionaries(st.sampled_from(sorted(Source.model_fields)), junk, max_size=4).map(
                lambda more: source() | more
            ),
            max_size=2,
        ),
        "shutdown_timeout": junk,
    },
)


@given(spoilt, st.dictionaries(st.sampled_from(sorted({f"STREAMER_{s}__{k}".upper() for s, k in leaves()})), st.text()))
def test_any_junk_gives_a_configuration_or_its_error(raw: dict[str, Any], env: dict[str, str]) -> None:
    """Never another exception, whatever the values are."""
    with suppress(ConfigError):
        config = build({"sources": [source()], **raw}, env)
        repr(config)
        assert len(config.digest) == 16


def test_the_deployments_file_loads() -> None:
    """What docker-compose.yml mounts is a configuration."""
    file = Path(__file__).parent.parent / "deploy" / "streamer.toml"
    assert build(tomllib.loads(file.read_text()), ENV).http.listen == "0.0.0.0:8080"


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:8080", "[::1]:8080", "127.8.0.1:80"])
def test_this_machine_needs_no_token(listen: str) -> None:
    """Loopback is open to whoever is on the machine."""
    assert made({}, {"http.listen": listen}).http.local


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080", "floor.example.com:80"])
def test_other_machines_need_a_token_or_a_proxy(listen: str) -> None:
    """Else the page would be open to whoever finds it."""
    with pytest.raises(ConfigError, match=r"open to other machines: give a token"):
        made(http={"listen": listen})
    assert not made(http={"listen": listen, "behind_proxy": True}).http.local
    config = made({"BOARD_TOKEN": "s3cret-board"}, http={"listen": listen, "token_env": "BOARD_TOKEN"})
    assert config.http.token is not None
    assert config.http.token.get_secret_value() == "s3cret-board"
    assert "s3cret-board" not in repr(config)


def test_addresses_of_callbacks() -> None:
    """Networks or single addresses, also from the environment."""
    config = build({"sources": [source(callback_addresses=["10.0.0.0/8", "192.0.2.7"])]}, ENV)
    assert [str(network) for network in config.sources[0].callback_addresses] == ["10.0.0.0/8", "192.0.2.7/32"]
    env = {**ENV, "STREAMER_SOURCES__FLOOR__CALLBACK_ADDRESSES": "10.0.0.0/8, 2001:db8::/32"}
    assert len(build({"sources": [source()]}, env).sources[0].callback_addresses) == 2
    with pytest.raises(ConfigError, match=r"callback_addresses"):
        build({"sources": [source(callback_addresses=["vendor.example.com"])]}, ENV)


@pytest.mark.parametrize(
    ("registry", "words"),
    [
        ({}, "registry.url: missing"),
        ({"url": "mock://"}, "registry.url: must be http://host:port/path"),
        ({"url": "http://host:x"}, "registry.url: must be http://host:port/path"),
        ({"url": "http://u:5e5ame@host"}, "registry.url: must hold no password"),
        ({"url": "http://host", "user": "u"}, "registry.user: and password"),
        ({"url": "http://host", "password": "5e5ame"}, "registry.user: and password"),
        ({"url": "http://host", "framing": "avro"}, "registry.framing: "),
        ({"url": "http://host", "frame": "header"}, "did you mean 'framing'?"),
    ],
)
def test_a_registry_that_cannot_be_asked_is_refused_in_words(registry: dict[str, Any], words: str) -> None:
    """The key is named, and no password is shown."""
    message = refused(registry=registry)
    assert words in message
    assert "5e5ame" not in message


def test_the_registrys_password_is_a_secret_like_the_others() -> None:
    """It may come from a variable, is shown nowhere, and commands that do not register need not have it."""
    registry = {"url": "http://host", "user": "u", "password_env": "REGISTRY_PASSWORD"}
    config = made({"REGISTRY_PASSWORD": "5e5ame"}, registry=dict(registry))
    assert config.registry
    assert config.registry.password
    assert config.registry.password.get_secret_value() == "5e5ame"
    assert "5e5ame" not in repr(config) + config.model_dump_json()
    assert "registry.password_env: the variable REGISTRY_PASSWORD is not set" in refused(registry=dict(registry))
    assert build({"registry": dict(registry)}, {}, needs=["kafka"]).registry
