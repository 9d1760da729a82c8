"""What our code may not do at all, and what TLS always asks for."""

from __future__ import annotations

import ast
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from streamer.config import Kafka
from streamer.kafka.connection import Connection
from streamer.vendor.client import tls

ROOT = Path(__file__).resolve().parents[2] / "streamer"
SOURCES = sorted(ROOT.rglob("*.py"))

MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "subprocess", "ctypes", "xml", "telnetlib"}
"""Read foreign bytes as code or objects, or start programs."""

REFUSES = {"consumers/wfm/outputs/teleopti_soap.py": ["xml.etree"]}
"""SOAP is XML: an answer with a document type, and so with entities, is refused there before it is parsed."""

CALLS = {"eval", "exec", "compile", "__import__", "import_module", "system", "popen", "execv", "spawnv", "mktemp"}

NAMES = {"CERT_NONE", "_create_unverified_context", "PROTOCOL_TLSv1", "PROTOCOL_SSLv23", "TLSVersion"}
"""Ways to trust anybody, or to speak an old TLS."""


def forbidden(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.partition(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module)):
                yield from [module] if module.partition(".")[0] in MODULES else []
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)) if owner != "re" and name in CALLS:
                yield f"{owner}.{name}"
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in NAMES:
                yield name
            case ast.keyword(arg="shell" | "verify_ssl" | "ssl", value=ast.Constant(value=value)) if value is not None:
                if value is not True or node.arg == "shell":
                    yield f"{node.arg}={value}"
            case ast.Assign(targets=[ast.Attribute(attr="verify_mode")]):
                yield "verify_mode"
            case ast.Assign(targets=[ast.Attribute(attr="check_hostname")], value=ast.Constant()):
                yield "check_hostname"
            case _:
                pass


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_foreign_bytes_become_code_and_no_certificate_goes_unasked(path: Path) -> None:
    """Neither evaluation nor unpickling nor programs; TLS is never told to look away."""
    assert list(forbidden(path)) == REFUSES.get(str(path.relative_to(ROOT)), [])


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from yaml import load", "eval(x)", "importlib.import_module(x)", "os.system(x)", "f(shell=True)",
     "http.post(url, ssl=False)", "c.verify_mode = 0", "c.check_hostname = False", "ssl.CERT_NONE"],
)  # fmt: skip
def test_the_rule_sees_what_it_forbids(code: str, tmp_path: Path) -> None:
    """Each kind of it."""
    file = tmp_path / "bad.py"
    file.write_text(code)
    assert list(forbidden(file))


def test_the_vendors_certificate_is_always_asked_for() -> None:
    """By its chain and its name; no key of the configuration changes that."""
    context = tls()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("names", [True, False])
def test_kafkas_certificate_is_asked_for_and_its_name_unless_told_otherwise(names: bool) -> None:
    """`ssl_check_hostname = false` drops the name alone."""
    for config in (
        Kafka(security_protocol="SSL", ssl_check_hostname=names),
        Kafka(
            security_protocol="SASL_SSL",
            sasl_plain_username="u",
            sasl_plain_password=SecretStr("p"),
            ssl_check_hostname=names,
        ),
    ):
        context: ssl.SSLContext = Connection(config).options()["ssl_context"]
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, names)
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert Kafka().ssl_check_hostname
