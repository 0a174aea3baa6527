"""Every error this project raises on purpose.

    EdgeDetectError                exit 1
    ├── UsageError                 exit 2: an option, a configuration or a file name is wrong
    │   └── MissingExtraError      an optional dependency is not installed
    ├── InputError                 the data that was handed in cannot be used
    ├── BundleError                the bundle cannot be used
    │   ├── BundleFormatError      not a bundle, damaged, or of a version this code does not know
    │   ├── SignatureError         not signed by a trusted key, or for another gateway, expired, or older
    │   ├── GateError              holds something the gate does not let through
    │   ├── SelfTestError          its golden rows do not come out as the trainer saw them
    │   └── SensorMismatchError    its sensors are not those of the data
    ├── SourceError                a source failed for good: fix the cause and start again
    │   └── SourceUnavailableError try again later: the caller backs off and retries
    ├── LedgerError                the ledger on disk cannot be used
    │   └── LedgerUnavailableError try again later: the disk is full or does not answer
    ├── SinkError                  a sink failed for good: the rows go to the dead letters
    │   └── SinkUnavailableError   try again later: the rows stay in the outbox
    ├── TrainingError              a model cannot be trained or evaluated on this data
    └── ExportError                a model cannot be turned into a bundle

A command prints the message on standard error and exits with `exit_code`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BundleError",
    "BundleFormatError",
    "EdgeDetectError",
    "ExportError",
    "GateError",
    "InputError",
    "LedgerError",
    "LedgerUnavailableError",
    "MissingExtraError",
    "SelfTestError",
    "SensorMismatchError",
    "SignatureError",
    "SinkError",
    "SinkUnavailableError",
    "SourceError",
    "SourceUnavailableError",
    "TrainingError",
    "UsageError",
    "counted",
    "listed",
    "printable",
]

# Of what comes from anybody, in a message.
MAX_NAMES, MAX_LETTERS = 12, 40


class EdgeDetectError(Exception):
    """The root: says what was wrong and where, with a hint at what to do.

    Args:
        what: What was wrong, as a clause without a full stop.
        where: The file, line, option, server or field where it was found.
        hint: What the reader can do about it, as a clause without a full stop.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, where, hint)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; {self.hint}" if self.hint else text


class UsageError(EdgeDetectError):
    """An option, a configuration or a file name is wrong."""

    exit_code = 2


class MissingExtraError(UsageError):
    """An optional dependency is not installed.

    Args:
        what_needs_it: The feature that was asked for.
        extra: The extra of this distribution that brings the dependency.
    """

    def __init__(self, what_needs_it: str, extra: str) -> None:
        super().__init__(
            f"{what_needs_it} needs the extra '{extra}', which is not installed",
            hint=f"pip install 'edge-detect[{extra}]'",
        )
        self.extra = extra


class InterruptedRunError(EdgeDetectError):
    """A signal ended a run that can be gone on with."""

    exit_code = 130


class InputError(EdgeDetectError):
    """The data that was handed in cannot be used."""


class BundleError(EdgeDetectError):
    """The bundle cannot be used."""


class BundleFormatError(BundleError):
    """Not a bundle, damaged, or of a version that this code does not know."""


class SignatureError(BundleError):
    """The bundle's signature is missing, is not one of a trusted key, or does not allow this bundle here."""


class GateError(BundleError):
    """The bundle holds something that the gate does not let through."""


class SelfTestError(BundleError):
    """The golden rows do not come out as the trainer saw them."""


class SensorMismatchError(BundleError):
    """The bundle's sensors are not those of the data."""


class SourceError(EdgeDetectError):
    """A source failed for good."""


class SourceUnavailableError(SourceError):
    """A source cannot be reached now; the caller backs off and retries."""


class LedgerError(EdgeDetectError):
    """The ledger on disk cannot be used."""


class LedgerUnavailableError(LedgerError):
    """The ledger cannot be written now; nothing is acknowledged until it can."""


class SinkError(EdgeDetectError):
    """A sink refused rows for good; they go to the dead letters."""


class SinkUnavailableError(SinkError):
    """A sink cannot be reached now; the rows stay in the outbox."""


class TrainingError(EdgeDetectError):
    """A model cannot be trained or evaluated on this data."""


class ExportError(EdgeDetectError):
    """A model cannot be turned into a bundle."""


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things, such as "1 row", "2,345 rows" or "1 row is".

    Args:
        number: How many there are.
        one: What one of them is called.
        many: What several are called, if it is not the same with an s.
    """
    return f"1 {one}" if number == 1 else f"{number:,} {many or one + 's'}"


def printable(text: str, max_letters: int = MAX_LETTERS) -> str:
    """The first letters of a text; a question mark stands for a control code and its like."""
    part = text[:max_letters]
    return part if part.isprintable() else "".join(one if one.isprintable() else "?" for one in part)


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    known = list(names)
    more = len(known) - MAX_NAMES
    return ", ".join(map(printable, known[:MAX_NAMES])) + (f" and {more:,} more" if more > 0 else "")
