"""Every error that reaches an operator, and what the process does about it.

StreamerError                       exit
├── ConfigError                     2     wrong usage or configuration; names the key and its file
├── CheckFailed                     1     `check` found something out of order, or a shutdown left work undone
├── Wedged                          1     a part of the process made no progress for minutes
├── VendorError
│   ├── VendorUnavailable           —     retried with backoff: no answer, HTTP 5xx, 500, broken body, failed call
│   └── VendorRefused               3     retried slowly: 400, 601–604, wrong log-in (exit 3 only for `record`)
└── KafkaError
    ├── KafkaUnavailable            —     retried with backoff: no broker, time-out, unknown outcome
    ├── TopicsWrong                 2     a topic exists with settings that would break a promise
    ├── RegistryRefused             2     the schema registry does not take a schema, or us
    ├── KafkaRefused                3     authentication or authorisation
    └── Fenced                      4     another instance took over

Each message names what was wrong, where, and the remedy. None of them ever holds a secret.
"""

from __future__ import annotations


class StreamerError(Exception):
    """Base of all errors shown to an operator.

    `remedy` is one sentence that tells the operator what to do; `str()` joins both.
    """

    exit_code = 1
    retriable = False

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class ConfigError(StreamerError):
    """Configuration or usage is wrong."""

    exit_code = 2


class CheckFailed(StreamerError):
    """A check failed, or a shutdown left work undone."""


class Wedged(StreamerError):
    """A part of the process made no progress for minutes; a new process will."""


class VendorError(StreamerError):
    """A poll or a log-in at the vendor did not succeed. `status` is the HTTP status of the answer, where one came."""

    status: int | None = None


class VendorUnavailable(VendorError):
    """The vendor did not give a usable answer this time; the next attempt may succeed."""

    retriable = True


class VendorRefused(VendorError):
    """The vendor will refuse until an operator acts; asked again, slowly."""

    exit_code = 3
    retriable = True


class KafkaError(StreamerError):
    """Kafka did not do what was asked."""


class KafkaUnavailable(KafkaError):
    """No broker answered in time, or the outcome is unknown; a new client may succeed."""

    retriable = True


class TopicsWrong(KafkaError):
    """A topic has settings under which a promise of the contract would break."""

    exit_code = 2


class RegistryRefused(KafkaError):
    """The schema registry does not take a schema of ours, or our credentials."""

    exit_code = 2


class KafkaRefused(KafkaError):
    """Kafka refused our credentials or our rights."""

    exit_code = 3


class Fenced(KafkaError):
    """Another instance has taken over this slot."""

    exit_code = 4
