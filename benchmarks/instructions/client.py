"""Valgrind's client requests from Python: which instructions callgrind counts, and when it writes them down.

A request is a sequence of instructions that does nothing on a processor and that Valgrind looks for; C
programs have it from `valgrind/callgrind.h`. Here its bytes for x86-64 are put into memory and called.
"""

from __future__ import annotations

import ctypes
import mmap

__all__ = ["Requests"]

# mov rax, rdi; xor edx, edx; rol rdi by 3, 13, 61 and 51; xchg rbx, rbx; mov rax, rdx; ret
CODE = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
# Of callgrind, in the order of its header's enumeration.
BASE = ord("C") << 24 | ord("T") << 16
ZERO, DUMP_AT, START = BASE + 1, BASE + 3, BASE + 4


class Requests:
    """Asks callgrind; outside Valgrind nothing happens."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, len(CODE), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._memory.write(CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(address)

    def start(self) -> None:
        """Begins to instrument, with `--instr-atstart=no`."""
        self._ask(START)

    def zero(self) -> None:
        """Sets all counts to 0."""
        self._ask(ZERO)

    def dump(self, name: str) -> None:
        """Writes the counts into a file of their own, which says the name, and sets them to 0."""
        text = ctypes.create_string_buffer(name.encode("ascii"))
        self._ask(DUMP_AT, ctypes.addressof(text))

    def drop(self, _name: str) -> None:
        """As `dump`, without a file."""
        self.zero()

    def _ask(self, *words: int) -> None:
        request = (ctypes.c_uint64 * 6)(*words)
        self._call(ctypes.addressof(request))
