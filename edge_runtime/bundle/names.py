"""What a sensor or a machine may be called: what is seen must be what is there.

A name is read by people, in alarms and on dashboards, and by programs, as a column. So it holds nothing that
cannot be seen, no letter that only looks like another one, and is none of the names that results have for
themselves. The gateway, `edge-train` and `edge-export` all ask here.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from edge_runtime.bundle.caps import MAX_NAME, MAX_SENSORS, OF_A_SENSOR, RESERVED
from edge_runtime.bundle.document import is_visible

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["wrong_sensors", "wrong_text"]

# Alphabets some of whose letters look like those of another one here, by first and last code points. All
# other writing, such as Thai, Arabic or Chinese, looks like none of them, and stands beside any of them.
ALIKE = {
    "Latin": (
        *((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x2AF), (0x1D00, 0x1D25)),
        *((0x1E00, 0x1EFF), (0x2C60, 0x2C7F), (0xA722, 0xA7FF), (0xAB30, 0xAB64)),
    ),
    "Greek": ((0x370, 0x3E1), (0x3F0, 0x3FF), (0x1D26, 0x1D2A), (0x1F00, 0x1FFF)),
    "Coptic": ((0x3E2, 0x3EF), (0x2C80, 0x2CFF)),
    "Cyrillic": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x1D2B, 0x1D2B), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)),
    "Armenian": ((0x530, 0x58F), (0xFB13, 0xFB17)),
    "Cherokee": ((0x13A0, 0x13FF), (0xAB70, 0xABBF)),
    "Lisu": ((0xA4D0, 0xA4FF),),
    "Fullwidth": ((0xFF21, 0xFF3A), (0xFF41, 0xFF5A)),
    "Mathematical": ((0x1D400, 0x1D7FF),),
}
# Greek letters that no Latin one looks like: a pressure difference is a Δp.
PLAINLY_GREEK = frozenset("ΓΔΘΛΞΠΣΦΨΩβδεζηθλμξπσφψω")
# What NFKC would change and people write nevertheless.
KEPT = frozenset("µⁿªº№⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻₀₁₂₃₄₅₆₇₈₉\N{THAI CHARACTER SARA AM}\N{LAO VOWEL SIGN AM}")
LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухҺһԁԛԝ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧνορυ",  # noqa: RUF001 - that is what they are
    "ABESIJKMHOPCTYXaesijopcyxHhdqw" + "ABEZHIKMNOPTYXvopu",
)


def wrong_sensors(names: Sequence[str]) -> tuple[str, str, str] | None:
    """The first of a bundle's sensors that cannot be called so: its name, why not, and what helps.

    None when all can. Names that differ only in upper and lower case are different, as they are in InfluxDB.
    """
    if len(names) > MAX_SENSORS:
        many = f"there are {len(names)} sensors, and a bundle has at most {MAX_SENSORS}"
        return "", many, "choose the most telling ones"
    alike: dict[str, str] = {}
    for name in names:
        if wrong := wrong_sensor(name):
            return name, *wrong
        other = alike.setdefault(name.translate(LOOK_ALIKES), name)
        if other != name:
            return name, f"looks like the sensor '{other}', but is written otherwise", "rename one of them"
    for name in names:
        for prefix in OF_A_SENSOR:
            if name.startswith(prefix) and name.removeprefix(prefix) in names:
                own = f"the column that the results have for the sensor '{name.removeprefix(prefix)}'"
                return name, f"is also {own}", "rename it"
    return None


def wrong_sensor(name: str) -> tuple[str, str] | None:
    """Why a sensor cannot be called so, and what helps; None when it can."""
    if not name:
        return "a sensor has no name", "name it"
    if len(name) > MAX_NAME:
        return f"has {len(name)} characters, and a name has at most {MAX_NAME}", "shorten it"
    if name != name.strip():
        return "begins or ends with a space", f"write '{name.strip()}'"
    if name in RESERVED or name.translate(LOOK_ALIKES) in RESERVED:
        return "is the name of a column that the results have themselves", f"rename it, such as '{name}_1'"
    whole = "".join(letter if letter in KEPT else unicodedata.normalize("NFKC", letter) for letter in name)
    normal = unicodedata.normalize("NFC", whole)
    if normal != name:
        return "is written with characters that stand for others", f"write '{normal}'"
    return wrong_text(name)


def wrong_text(text: str) -> tuple[str, str] | None:
    """Why people would misread a text, and what helps; None when they would not."""
    if text.isascii() and text.isprintable():
        return None
    if not is_visible(text):
        return "contains a character that cannot be seen", "write it with letters, digits, signs and spaces"
    alphabets: set[str] = set()
    for character in text:
        kind = unicodedata.category(character)
        if not kind.startswith("L"):
            if not kind.startswith("M"):
                alphabets.clear()  # a word ends
            continue
        if character not in PLAINLY_GREEK:
            alphabets.update(_alphabet(character))
        if len(alphabets) > 1:
            mixed = " and ".join(sorted(alphabets))
            return f"mixes letters that look alike, {mixed}, in one word", "write each word in one alphabet"
    return None


def _alphabet(letter: str) -> list[str]:
    code = ord(letter)
    return [name for name, parts in ALIKE.items() if any(first <= code <= last for first, last in parts)]
