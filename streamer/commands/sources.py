"""Sources as configured → their vendor clients."""

from __future__ import annotations

import gzip
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from ssl import SSLContext

from pydantic import SecretStr

from streamer.commands.recording import Recorder
from streamer.config import Config, Source
from streamer.config.secrets import UNUSED
from streamer.errors import ConfigError, VendorError
from streamer.runtime.ports import Clock
from streamer.vendor.client import Session, VendorClient, http_session, tls


def secret(value: SecretStr | None) -> str:
    """The secret itself, empty if there is none."""
    return value.get_secret_value() if value else ""


def secrets_of(config: Config) -> tuple[str, ...]:
    """Every configured secret: what no output may hold."""
    found = [secret(config.kafka.sasl_plain_password), secret(config.kafka.ssl_password), secret(config.http.token)]
    if config.registry is not None:
        found.append(secret(config.registry.password))
    for source in config.sources:
        found += [secret(source.accesskey), secret(source.token), secret(source.callback_secret)]
    found += [secret(output.key) for output in (config.wfm.outputs if config.wfm else ())]
    return tuple(text for text in found if text not in ("", UNUSED))


class Vendors:
    """Makes clients; `recorder` sees every status answer. Sources with the same url and account share a session."""

    def __init__(self, clock: Clock, warn: Callable[[str], None], recorder: Recorder | None = None) -> None:
        self._http = http_session()
        self._clock = clock
        self._warn = warn
        self._recorder = recorder
        self._trusted: dict[tuple[str, int], SSLContext] = {}
        self._sessions: dict[tuple[str, str, str], Session] = {}

    def source(self, source: Source) -> VendorClient:
        """A client for a source; ConfigError where its url or ca_file cannot be used."""
        session = self._session(source)
        client = VendorClient(
            session,
            name=source.name,
            poll_interval=source.poll_interval,
            queuename=source.queuename,
            extnumber=source.extnumber,
        )
        if self._recorder is not None:
            client.on_reply = self._recorder.listen(source.name, session)
        return client

    def _trust(self, ca_file: Path | None) -> SSLContext:
        """Made once for each file, as it is now: that takes a while."""
        key = (str(ca_file or ""), ca_file.stat().st_mtime_ns if ca_file and ca_file.exists() else 0)
        if key not in self._trusted:
            self._trusted[key] = tls(key[0])
        return self._trusted[key]

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def _session(self, source: Source) -> Session:
        ssl = self._trust(source.ca_file)
        account = (source.url, source.appid, secret(source.accesskey) or secret(source.token))
        session = self._sessions.get(account)
        if session is not None:
            session.limit(source.connect_timeout, source.total_timeout, source.max_body, ssl)
            return session
        session = self._sessions[account] = Session(
            url=source.url,
            appid=source.appid,
            accesskey=secret(source.accesskey),
            token=secret(source.token),
            http=self._http,
            clock=self._clock,
            connect_timeout=source.connect_timeout,
            total_timeout=source.total_timeout,
            max_body=source.max_body,
            ssl=ssl,
        )
        if text := session.warn_plain_http():
            self._warn(text)
        session.tokens.on_renewal_failed = _renewal_failed(session, self._warn)
        return session


@asynccontextmanager
async def vendors(
    config: Config, clock: Clock, warn: Callable[[str], None], recorder: Recorder | None = None
) -> AsyncGenerator[Vendors]:
    """What makes clients for the sources of `config`, each of which was tried once; ConfigError where one cannot be."""
    made = Vendors(clock, warn, recorder)
    try:
        for source in config.sources:
            made.source(source)
        yield made
    finally:
        await made.close()


def _renewal_failed(session: Session, warn: Callable[[str], None]) -> Callable[[VendorError], None]:
    def failed(error: VendorError) -> None:
        warn(f"{session.account.where}: the token could not be renewed yet, polls go on with the old one: {error}")

    return failed


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
