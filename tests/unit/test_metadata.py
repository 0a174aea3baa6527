from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.bundles import make_bundle

from edge_runtime.bundle.metadata import Metadata
from edge_runtime.errors import BundleFormatError
from edge_runtime.loading.load import load_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Metadata:
    path = make_bundle(tmp_path_factory.mktemp("bundle"), per_machine={"press-1": 0.5})
    return load_bundle(path).metadata


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every object field of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(value, dict):
            yield (*path, key)
        yield from places(item, (*path, key))


def at(document: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def test_what_is_written_is_read_back_equal(metadata: Metadata) -> None:
    text = metadata.to_json()
    assert Metadata.from_json(text) == metadata
    assert Metadata.from_json(text.encode()).to_json() == text
    assert text.isascii()


FREE = {
    ("threshold", "per_machine"),
    ("metrics", "validation"),
    ("metrics", "test"),
    ("provenance", "versions"),
}


def test_every_field_is_needed_and_no_other_is_taken(metadata: Metadata) -> None:
    text = metadata.to_json()
    checked = 0
    for path in places(json.loads(text)):
        if path[:-1] in FREE:
            continue
        document = json.loads(text)
        del at(document, path[:-1])[path[-1]]
        with pytest.raises(BundleFormatError, match=str(path[-1])):
            Metadata.from_json(json.dumps(document))
        document = json.loads(text)
        at(document, path[:-1])["surplus"] = 1
        with pytest.raises(BundleFormatError, match="surplus: an unknown field"):
            Metadata.from_json(json.dumps(document))
        checked += 1
    assert checked > 50


def test_every_field_of_a_wrong_type_is_named(metadata: Metadata) -> None:
    text = metadata.to_json()
    for path in places(json.loads(text)):
        if path == ("format_version",):
            continue
        document = json.loads(text)
        at(document, path[:-1])[path[-1]] = [{"never": "right"}]
        with pytest.raises(BundleFormatError, match=str(path[-1])):
            Metadata.from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "bundle format version null"),
        ('{"format_version": 7}', "bundle format version 7"),
        (b"\xff\xfe\xfd", "is not JSON"),
    ],
)
def test_what_is_no_metadata_is_one_clear_error(text: str | bytes, message: str) -> None:
    with pytest.raises(BundleFormatError, match=message):
        Metadata.from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1" + "0" * 400, "true", "null"])
def test_a_threshold_must_be_a_finite_number(metadata: Metadata, number: str) -> None:
    value = json.dumps(metadata.threshold.value)
    text = metadata.to_json().replace(f'"value":{value}', f'"value":{number}')
    with pytest.raises(BundleFormatError, match=r"threshold\.value"):
        Metadata.from_json(text)


def test_a_field_that_is_there_twice_is_refused(metadata: Metadata) -> None:
    text = metadata.to_json().replace('"cadence_seconds":', '"cadence_seconds":9,"cadence_seconds":')
    with pytest.raises(BundleFormatError, match="twice"):
        Metadata.from_json(text)
