"""Signed checkpoints: what the store held at a moment, so that nobody without the key can change or shorten it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from streamer.errors import ConfigError


class Head(msgspec.Struct, frozen=True, gc=False):
    """A partition's chain: hash of its last entry, how many there are, the numbers of those that are new since the
    checkpoint before, and the offsets of the first and last record of the whole chain."""

    head: str
    count: int
    new: tuple[int, int] | None
    offsets: tuple[int, int] | None


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """A Parquet file. `spans`: first and last entry number in it, by partition."""

    name: str
    sha256: str
    rows: int
    bytes: int
    spans: dict[str, tuple[int, int]]


class Body(msgspec.Struct, frozen=True, tag_field="type", tag="AuditCheckpoint"):
    """What is signed. `previous`: SHA-256 of the body before. `files`: sealed since then. `complete`: up to when the
    record of each source is complete, by its feed's confirmed_until."""

    store: str
    cluster: str
    topic: str
    number: int
    at: str
    previous: str
    partitions: dict[str, Head]
    files: list[Sealed]
    complete: dict[str, str]


class Checkpoint(msgspec.Struct, frozen=True):
    """A body's bytes and their Ed25519 signature; as JSON it is what the topic holds."""

    body: str
    signature: bytes

    @property
    def digest(self) -> str:
        """What the next body names as the previous one."""
        return hashlib.sha256(self.body.encode()).hexdigest()


FIRST = "0" * 64
"""The `previous` of the first checkpoint."""

_encode = msgspec.json.Encoder(order="sorted").encode
_body = msgspec.json.Decoder(Body)
_published = msgspec.json.Decoder(Checkpoint)


def sign(key: Ed25519PrivateKey, body: Body) -> Checkpoint:
    """The body, signed."""
    text = _encode(body)
    return Checkpoint(text.decode(), key.sign(text))


def opened(checkpoint: Checkpoint, key: Ed25519PublicKey) -> Body | None:
    """What a checkpoint says; None if it was not signed with that key."""
    try:
        key.verify(checkpoint.signature, checkpoint.body.encode())
        return _body.decode(checkpoint.body)
    except (InvalidSignature, msgspec.MsgspecError, ValueError):
        return None


def packed(checkpoint: Checkpoint) -> bytes:
    """As it is published."""
    return _encode(checkpoint)


def unpacked(record: bytes, key: Ed25519PublicKey) -> tuple[Checkpoint, Body] | None:
    """A published checkpoint, and what it says; None if it is none, or not signed with that key."""
    try:
        checkpoint = _published.decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    body = opened(checkpoint, key)
    return None if body is None else (checkpoint, body)


def make_keys(private: Path) -> Path:
    """A new pair: `private` and beside it `….pub`. Neither may exist: ConfigError."""
    public = private.with_name(f"{private.name}.pub")
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if public.exists():
        raise ConfigError(f"{public} exists already", "a key is never overwritten: give another name with --out")
    _write_new(private, pem, 0o600)
    _write_new(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return public


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise ConfigError(f"{path} exists already", "a key is never overwritten: give another name") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", "give another path") from None


def private_key(path: Path | None) -> Ed25519PrivateKey:
    """The key to sign with; ConfigError if there is none."""
    found = _loaded(path, "audit.signing_key", lambda pem: load_pem_private_key(pem, None))
    if not isinstance(found, Ed25519PrivateKey):
        raise ConfigError(f"audit.signing_key: {path} holds no Ed25519 key", "make one with `streamer audit keygen`")
    return found


def public_key(path: Path | None) -> Ed25519PublicKey:
    """The key to verify with; ConfigError if there is none."""
    found = _loaded(path, "audit.public_key", load_pem_public_key)
    if not isinstance(found, Ed25519PublicKey):
        raise ConfigError(
            f"audit.public_key: {path} holds no Ed25519 public key", "give the .pub of `streamer audit keygen`"
        )
    return found


def _loaded(path: Path | None, place: str, load: Callable[[bytes], object]) -> object:
    if path is None:
        raise ConfigError(f"{place}: missing", "make a pair with `streamer audit keygen --out FILE` and name it")
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{place}: cannot read {path}: {error.strerror}", "correct the path or its rights") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{place}: {path} is no key in PEM", "make one with `streamer audit keygen`") from None
