"""Text in any encoding to UTF-8 with line feeds, as it comes in."""

from __future__ import annotations

import codecs

from edge_runtime.errors import InputError

__all__ = ["Recoder", "refused_encoding"]

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Recoder:
    """Finds out from the first bytes how a text is encoded, unless that is named.

    Args:
        encoding: Of the text; "" for UTF-8, or what its byte order mark says.
        where: What the text is, for errors.
        errors: "strict", or "replace" where a text has to be read on whatever is in it.

    Attributes:
        encoding: What was named or found; "" as long as nothing has come.
    """

    def __init__(self, encoding: str, where: str, errors: str = "strict") -> None:
        self.encoding = encoding
        self._errors = errors
        self._where = where
        self._decoder: codecs.IncrementalDecoder | None = None
        self._first = True
        self._carriage_returns = False

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """The next part in UTF-8.

        Raises:
            InputError: It cannot be decoded.
        """
        if self._first and data:
            self._first = False
            data = self._begin(data)
        if self._decoder is not None:
            try:
                data = self._decoder.decode(data, final).encode()
            except UnicodeError as error:
                raise InputError(
                    f"it is not text in {self.encoding} ({error})", where=self._where, hint="see --encoding"
                ) from None
        return data.replace(b"\r", b"\n") if self._carriage_returns else data

    def _begin(self, data: bytes) -> bytes:
        mark, found = next((pair for pair in MARKS if data.startswith(pair[0])), (b"", ""))
        self.encoding = self.encoding or found or "utf-8"
        if found and codecs.lookup(self.encoding).name in (found, "utf-16"):
            data, self.encoding = data[len(mark) :], found
        if codecs.lookup(self.encoding).name != "utf-8":
            self._decoder = codecs.getincrementaldecoder(self.encoding)(self._errors)
        # As Macs wrote lines once, and some instruments still do.
        self._carriage_returns = b"\r" in data and b"\n" not in data and self._decoder is None
        return data


def refused_encoding(error: UnicodeError, where: str) -> InputError:
    """The error for a text that is not what it was taken for."""
    return InputError(
        f"it is not text in UTF-8 ({error})", where=where, hint="name its encoding, such as --encoding cp1252"
    )
