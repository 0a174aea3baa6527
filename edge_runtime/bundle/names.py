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

# Writing that is used together: letters of one of these may stand in one word.
SCRIPTS = (
    frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "HANGUL", "LATIN"}),
    frozenset({"LATIN", "MICRO", "MASCULINE", "FEMININE"}),
)
# Greek letters that no Latin one looks like: a pressure difference is a Δp.
PLAINLY_GREEK = frozenset("ΓΔΘΛΞΠΣΦΨΩβδεζηθλμξπσφψω")
# What NFKC would change and people write nevertheless.
KEPT = frozenset("µ⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻₀₁₂₃₄₅₆₇₈₉")
LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухҺһԁԛԝ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαγικνορτυχ",
    "ABESIJKMHOPCTYXaesijopcyxHhdqw" + "ABEZHIKMNOPTYXayiKvopruX",
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
    scripts: set[str] = set()
    for character in text:
        kind = unicodedata.category(character)
        if not kind.startswith("L"):
            if not kind.startswith("M"):
                scripts.clear()  # a word ends
            continue
        if character not in PLAINLY_GREEK:
            scripts.add(unicodedata.name(character, "").partition(" ")[0])
        if len(scripts) > 1 and not any(scripts <= together for together in SCRIPTS):
            mixed = " and ".join(sorted(script.capitalize() for script in scripts))
            return f"mixes letters that look alike, {mixed}, in one word", "write each word in one alphabet"
    return None
