"""Configuration → the vendor clients of its sources; those with the same url and account share one session."""

from __future__ import annotations

import gzip
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from pydantic import SecretStr

from streamer.commands.recording import Recorder
from streamer.config import Config, Source
from streamer.configure import UNUSED
from streamer.errors import ConfigError, VendorError
from streamer.runtime.ports import Clock
from streamer.vendor.client import Session, VendorClient, http_session, tls


def secret(value: SecretStr | None) -> str:
    """The secret itself, empty if there is none."""
    return value.get_secret_value() if value else ""


def secrets_of(config: Config) -> tuple[str, ...]:
    """Every configured secret: what no output may hold."""
    found = [secret(config.kafka.sasl_plain_password), secret(config.kafka.ssl_password)]
    for source in config.sources:
        found += [secret(source.accesskey), secret(source.token), secret(source.callback_secret)]
    return tuple(text for text in found if text not in ("", UNUSED))


@asynccontextmanager
async def clients(
    config: Config, clock: Clock, warn: Callable[[str], None], recorder: Recorder | None = None
) -> AsyncGenerator[Mapping[str, VendorClient]]:
    """A client for each source, by name; `recorder` sees every status answer."""
    async with http_session() as http:
        shared: dict[tuple[str, str, str], Session] = {}
        made: dict[str, VendorClient] = {}
        for source in config.sources:
            account = (source.url, source.appid, secret(source.accesskey) or secret(source.token))
            session = shared.get(account)
            if session is None:
                session = shared[account] = Session(
                    url=source.url,
                    appid=source.appid,
                    accesskey=secret(source.accesskey),
                    token=secret(source.token),
                    http=http,
                    clock=clock,
                    connect_timeout=source.connect_timeout,
                    total_timeout=source.total_timeout,
                    max_body=source.max_body,
                    ssl=tls(str(source.ca_file or "")),
                )
                session.tokens.on_renewal_failed = lambda error: warn(f"the token could not be renewed: {error}")
                if text := session.warn_plain_http():
                    warn(text)
                session.tokens.on_renewal_failed = _renewal_failed(session, warn)
            made[source.name] = client = _client(session, source)
            if recorder is not None:
                client.on_reply = recorder.listen(source.name, session)
        yield made


def _renewal_failed(session: Session, warn: Callable[[str], None]) -> Callable[[VendorError], None]:
    def failed(error: VendorError) -> None:
        warn(f"{session.account.where}: the token could not be renewed yet, polls go on with the old one: {error}")

    return failed


def _client(session: Session, source: Source) -> VendorClient:
    return VendorClient(
        session,
        name=source.name,
        poll_interval=source.poll_interval,
        queuename=source.queuename,
        extnumber=source.extnumber,
    )


@contextmanager
def recording_to(path: Path, warn: Callable[[str], None]) -> Generator[Recorder]:
    """A recorder that adds to `path`, compressed if its name ends in .gz."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("ab"))
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}", "give a writable file") from None
        packed = stack.enter_context(gzip.open(file, "wb")) if path.suffix == ".gz" else file
        yield Recorder(packed, warn)
