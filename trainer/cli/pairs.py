"""Option values such as temperature=-40:150, 64,32,4,32,64 and 1,1,10,5.5."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_runtime.bundle.caps import LARGEST, SMALLEST
from edge_runtime.bundle.metadata import Debounce, Hold
from edge_runtime.errors import BundleFormatError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "parse_debounce",
    "parse_hold",
    "parse_number",
    "parse_ranges",
    "parse_rates",
    "parse_sizes",
    "parse_units",
]


def parse_debounce(text: str) -> Debounce:
    """The debounce of a verdict from a text such as "2,3".

    Raises:
        UsageError: It is not two whole numbers that make sense.
    """
    try:
        k, n = (int(part) for part in text.split(","))
        return Debounce(k, n)
    except (ValueError, BundleFormatError):
        raise UsageError(
            f"'{text}' is not a debounce", where="--debounce", hint="write K,N, such as 2,3, with K at most N"
        ) from None


def parse_hold(text: str) -> Hold:
    """The hold of a verdict from a text such as "1,1,10,5.5", or "none".

    Raises:
        UsageError: It is not four numbers that make sense.
    """
    if text == "none":
        return Hold()
    try:
        rise, fall, cap, level = (float(part) for part in text.split(","))
        return Hold(rise, fall, cap, level)
    except (ValueError, BundleFormatError):
        raise UsageError(
            f"'{text}' is not a hold",
            where="--hold",
            hint="write RISE,FALL,CAP,LEVEL, such as 1,1,10,5.5, with the level below the cap; or write none",
        ) from None


def parse_number(text: str, option: str, example: str) -> float:
    """A number from a text such as "0.25".

    Raises:
        UsageError: It is not one; the option is named, and the example.
    """
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"'{text}' is not a number", where=option, hint=f"write one, such as {example}"
        ) from None


def parse_ranges(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Sensor to lowest and highest reading, from texts such as "temperature=-40:150".

    Raises:
        UsageError: A text is not of this form, or its lowest is not below its highest.
    """
    ranges = {}
    for name, value in _pairs(texts, "--physical-range", "temperature=-40:150"):
        try:
            low, high = (float(part) for part in value.split(":"))
        except ValueError:
            low = high = math.nan
        if not (low < high and math.isfinite(low) and math.isfinite(high)):
            raise UsageError(
                f"'{value}' is not a range",
                where="--physical-range",
                hint="write LOWEST:HIGHEST, such as -40:150",
            )
        ranges[name] = (low, high)
    return ranges


def parse_rates(texts: Sequence[str]) -> dict[str, float]:
    """Sensor to the fastest that it can change, from texts such as "temperature=0.5".

    Raises:
        UsageError: A text is not of this form, or its number is not above zero.
    """
    rates = {}
    for name, value in _pairs(texts, "--max-rate", "temperature=0.5"):
        rate = parse_number(value, "--max-rate", "temperature=0.5")
        if not SMALLEST <= rate <= LARGEST:
            raise UsageError(
                f"'{value}' is not a rate", where="--max-rate", hint="write a number above zero, such as 0.5"
            )
        rates[name] = rate
    return rates


def parse_units(texts: Sequence[str]) -> dict[str, str]:
    """Sensor to unit, from texts such as "temperature=°C".

    Raises:
        UsageError: A text is not of this form.
    """
    return dict(_pairs(texts, "--unit", "temperature=°C"))


def parse_sizes(text: str, option: str, word: str | None = None) -> tuple[int, ...]:
    """Whole numbers such as layer widths, from a text such as "64,32,4,32,64".

    Args:
        text: As it was typed.
        option: Where.
        word: What may be typed instead, for the hint.

    Raises:
        UsageError: It is not a list of positive whole numbers; the option is named.
    """
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        instead = f", or {word}" if word else ""
        raise UsageError(
            f"'{text}' is not a list of {option.strip('-')}",
            where=option,
            hint=f"write whole numbers separated by commas, such as 64,32,4,32,64{instead}",
        )
    return sizes


def _pairs(texts: Sequence[str], option: str, example: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise UsageError(f"'{text}' is not SENSOR=VALUE", where=option, hint=f"write it like {example}")
        if name in seen:
            raise UsageError(f"'{name}' is given twice", where=option)
        seen.add(name)
        yield name, value
