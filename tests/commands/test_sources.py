"""What commands know of the configuration's secrets."""

from __future__ import annotations

from streamer.commands.sources import secrets_of
from streamer.config import Config
from streamer.configure import build

SECRETS = {"accesskey", "callback_secret", "key", "password", "sasl_plain_password", "ssl_password", "token"}


def test_every_secret_of_the_configuration_is_known_to_the_log() -> None:
    """So that a line never holds one: a key that is added to the configuration must be added there."""
    source = {"name": "floor", "url": "http://127.0.0.1:1", "appid": "a"}
    output = {"name": "t", "kind": "teleopti_json", "url": "http://127.0.0.1:1", "agents": "a.csv", "key": "secret-8"}
    config = build(
        {
            "kafka": {"sasl_plain_password": "secret-1", "ssl_password": "secret-2"},
            "http": {"token": "secret-3"},
            "sources": [{**source, "accesskey": "secret-4", "token": "secret-5", "callback_secret": "secret-6"}],
            "registry": {"url": "http://127.0.0.1:1", "user": "u", "password": "secret-7"},
            "wfm": {"path": "w.db", "outputs": [output]},
        },
        {},
    )
    assert sorted(secrets_of(config)) == [f"secret-{number}" for number in range(1, 9)]
    sections = Config.model_json_schema()["$defs"]
    assert {key for section in sections for key in secret_fields(section)} == SECRETS


def secret_fields(section: str) -> list[str]:
    """The keys of a section that hold secrets."""
    properties = Config.model_json_schema()["$defs"][section].get("properties", {})
    return [key for key, field in properties.items() if "password" in str(field.get("anyOf", field))]
