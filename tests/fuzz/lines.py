"""Good lines and messages, and what may become of them on their way: the same again for the same seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FORMATS", "MESSAGES", "Mutator"]

LETTERS = b"0123456789.,;= \\\"'{}[]:\t\r\x00\xff\xc3\xa9aeEinfNaTZ+-#_m"
# What numbers, times and names have been mistaken for, and what means something to one of the parsers.
WORDS = rb"""
nan -nan NaN inf -Infinity 1e400 -1e-400 1_000 0x1p3 1e --1 +.e true null t 1i 1u 99999999999 00000000000
9999999999999999999 99999999999999999999 -9223372036854775808 9223372036854775808
0001-01-01T00:00:00Z 9999-12-31T23:59:59Z 1677-09-21T00:12:43Z 2262-04-11T23:47:17Z 0000-00-00
2026-02-30T25:61:61+99:99 2026-01-01T00:00:00.1234567890Z
\ \" " "" \u0000 \ud800 "time": "machine_id":[[ ,machine_id= ,a= a=1,a=2 = ,, # {} []
"""
TOKENS = [
    *WORDS.split(),
    *(b" ", b"  ", b", ", b"# ", b"\r", b"\0", b"\x85", b'"\n"', b"\x1b[2J", b"\xef\xbb\xbf"),
    *("²³".encode(), "\u0661".encode(), "\u2028".encode(), b"\xed\xa0\x80"),
    *(b"1" * 400, b"1" * 5000, b"x" * 300, b"[" * 1100, b'{"a":' * 1100),
]
LONG_CHANCE, LONGEST = 0.002, 300_000
SHORT_REPEAT = 40
# A format's first line, which tells which it is, and lines like those that come after it.
FORMATS: dict[str, tuple[bytes, list[bytes]]] = {
    "line protocol": (
        b"s,machine_id=m a=1,b=2 1767225600000000000",
        [
            *(b"s,machine_id=m%d a=%d.25,b=7i 176722560000000000%d" % (i, i, i) for i in range(4)),
            *(b"s,machine_id=m%d a=%d.25,b=7i" % (i, i) for i in range(2)),
            b"sensors a=1",
            b's,host=h,machine_id=p\\ 1\\,2 a=-1e3,b=.5,text="a, b=7 \\" c",on=t 1767225600000000000',
            b"cpu,host=h load=1.5,idle=3u 1767225600000000000",
        ],
    ),
    "json": (
        b'{"time":"1767225600","a":1,"b":2}',
        [
            *(b'{"time":"176722560%d","machine_id":"m%d","a":%d.5,"b":2}' % (i, i, i) for i in range(4)),
            b'{"time":1767225600123,"machine_id":7,"a":null,"b":-1e-3,"other":{"deep":[1,"x",{}]}}',
            b'{"a":1,"b":2}',
            b'{"temp_c":21.5,"on":true}',
        ],
    ),
    "csv": (
        b"time,machine_id,a,b",
        [
            *(b"2026-01-01T00:00:0%dZ,m%d,%d.5,1e3" % (i, i, i) for i in range(4)),
            b"1767225600,m,1,2",
            b"1767225600.5,m,,nan",
            b"2026-01-01 00:00:01+02:00,,-1,2",
            b'"2026-01-01T00:00:01Z","m ""q""",1,"2"',
        ],
    ),
}
MESSAGES = [
    *FORMATS["line protocol"][1],
    *FORMATS["json"][1],
    b'[{"a":1,"b":2},{"time":"2026-01-01T00:00:02Z","a":2,"b":4,"machine_id":"lathe"}]',
    b"s,machine_id=mill a=4,b=8 1767225604000000000\ns,machine_id=mill a=5,b=10",
    b"# a comment\ns a=4,b=8",
]


class Mutator:
    """Changes bytes: a bit, a few letters, a part that goes, or comes again and again; two become one.

    Args:
        seed: The same seed gives the same changes.
        good: What is changed.
    """

    def __init__(self, seed: int, good: Sequence[bytes]) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - what is wanted is the same again
        self._good = good

    def good(self) -> bytes:
        """One as it should be."""
        return self.chance.choice(self._good)

    def mutated(self) -> bytes:
        """One with one to three changes."""
        data = bytearray(self.good())
        for _ in range(self.chance.choice((1, 1, 2, 3))):
            self._change(data)
        return bytes(data)

    def _change(self, data: bytearray) -> None:
        chance = self.chance
        at = int(chance.random() * (len(data) + 1))
        kind = int(chance.random() * 7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << int(chance.random() * 8)
        elif kind == 1:
            data[at:at] = bytes(chance.choices(LETTERS, k=chance.randint(1, 4)))
        elif kind == 2:
            del data[at : at + chance.randint(1, 8)]
        elif kind == 3:
            data[at:at] = data[at : at + chance.randint(1, 20)]
        elif kind == 4:
            other = self.good()
            data[at:] = other[int(chance.random() * len(other)) :]
        elif kind == 5:
            data[at:at] = chance.choice(TOKENS)
        else:
            part = bytes(data[at : at + chance.randint(1, 6)]) or b"x"
            longest = LONGEST // len(part) if chance.random() < LONG_CHANCE else SHORT_REPEAT
            data[at:at] = part * chance.randint(1, longest)
