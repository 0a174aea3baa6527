"""Settings of the sinks that post: addresses, private files, variables, and what is wrong with each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.webhooks import private, sink_of

from edge_runtime.errors import UsageError
from edge_runtime.gateway.settings import load_settings
from edge_runtime.sinks.registry import SINKS

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("webhook", "alertmanager", "ntfy", "slack", "teams")
SECRET = "s3cr3tpath"
ADDRESS = f"https://hooks.example.org/{SECRET}"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS:
        for what in ("URL", "TOKEN", "SECRET"):
            monkeypatch.delenv(f"EDGE_DETECT_{kind.upper()}_{what}", raising=False)


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_comes_from_a_setting_a_file_or_a_variable(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=f"sink {kind} needs an address; set url or url_file in .{kind}."):
        sink_of(kind)
    file = private(tmp_path / "url", f"{ADDRESS}\n")
    assert sink_of(kind, url_file=str(file))._target.url == ADDRESS
    assert sink_of(kind, url=ADDRESS)._target.url == ADDRESS
    monkeypatch.setenv(f"EDGE_DETECT_{kind.upper()}_URL", ADDRESS)
    monkeypatch.setenv(f"EDGE_DETECT_{kind.upper()}_TOKEN", "from the environment".replace(" ", "-"))
    sink = sink_of(kind)
    assert (sink._target.url, sink._target.token) == (ADDRESS, "from-the-environment")
    with pytest.raises(UsageError, match=f"^.{kind}.: url and url_file are both set; leave one of them out"):
        sink_of(kind, url=ADDRESS, url_file=str(file))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (SECRET, "not an address of http or https"),
        (f"ftp://example.org/{SECRET}", "not an address of http or https"),
        (f"http:///{SECRET}", "not an address of http or https"),
        (f"http://example.org:0/{SECRET}", "not an address of http or https"),
        (f"http://example.org:99999/{SECRET}", "not an address of http or https"),
        (f"http://[::1/{SECRET}", "not an address of http or https"),
        (f"http://example.org/{SECRET} x", "not an address of http or https"),
        (f"http://example.org/{SECRET}\r\nx: y", "not an address of http or https"),
        (f"http://example.org/{SECRET}/ü", "not an address of http or https"),
        (f"http://example.org\\{SECRET}", "not an address of http or https"),
        (f"http://ada:{SECRET}@example.org/", "contains a login; use token_file for a token"),
        (f"http://ada@example.org/{SECRET}", "contains a login; use token_file for a token"),
        (f"http://example.org/{SECRET}#part", "contains a #, after which nothing is sent"),
    ],
)
def test_what_is_no_address_is_refused_and_not_shown(
    url: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_DETECT_SLACK_URL", url)
    ways: list[tuple[str, dict[str, Any]]] = [("[slack] url", {"url": url}), ("EDGE_DETECT_SLACK_URL", {})]
    for where, settings in ways:
        with pytest.raises(UsageError, match=words) as caught:
            sink_of("slack", **settings)
        assert SECRET not in str(caught.value)
        assert caught.value.where == where


@pytest.mark.parametrize("token", ["two words", "ü", "a\x7fb"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(tmp_path: Path, token: str) -> None:
    file = private(tmp_path / "token", token)
    with pytest.raises(UsageError, match="characters that are not allowed in a token") as caught:
        sink_of("webhook", url=ADDRESS, token_file=str(file))
    assert token not in str(caught.value)
    assert caught.value.where == str(file)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_???", "whsec_abc"])
def test_a_secret_that_is_not_what_it_says_is_refused(tmp_path: Path, secret: str) -> None:
    file = private(tmp_path / "secret", secret)
    with pytest.raises(UsageError, match=f"{file}: what follows whsec_ is not base64"):
        sink_of("webhook", url=ADDRESS, secret_file=str(file))


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("webhook", {"timeout": 0.0}, r"\[webhook\]: timeout must be more than 0"),
        ("alertmanager", {"timeout": 4000.0}, r"\[alertmanager\]: timeout .* at most an hour"),
        ("slack", {"at_once": 0}, r"\[slack\]: at_once must be 1 to 1,000"),
        ("teams", {"gather_s": -1.0}, r"\[teams\]: gather_s must be 0 to an hour"),
        ("alertmanager", {"only": {"changes": ["raised"]}}, "needs every change .*; leave it out"),
        ("webhook", {"only": {"priority": "urgent"}}, "'urgent' is no priority"),
        ("ntfy", {"url": "https://ntfy.example.org"}, r"\[ntfy\]: .* does not end with a topic; write"),
        ("ntfy", {"url": "https://ntfy.example.org/a b".replace(" ", "%20")}, "does not end with a topic"),
        ("ntfy", {"url": "https://ntfy.example.org/topic?x=1"}, "does not end with a topic"),
    ],
)
def test_what_is_out_of_range_is_named(kind: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        sink_of(kind, **{"url": ADDRESS, **settings})


@pytest.mark.parametrize("kind", KINDS)
def test_only_alarms_go_there_unless_rows_are_asked_for_where_they_can_go(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "edge-detect.toml"

    def chosen(takes: str) -> tuple[str, ...]:
        file.write_text(f'[run]\nsinks = ["{kind}"]\n[{kind}]\nurl = "{ADDRESS}"\n{takes}')
        sink = load_settings(file, {}).sinks[0]
        return sink.kind.chosen(sink.given)[0]

    assert chosen("") == ("alarms",)
    if kind == "webhook":
        assert chosen('takes = ["rows"]\n') == ("rows",)
    else:
        with pytest.raises(UsageError, match=rf"there is no 'takes' in \[{kind}\]"):
            chosen('takes = ["rows"]\n')
    assert SINKS.get(kind).tells == ("told" if kind in ("webhook", "alertmanager") else "people")


def test_a_template_that_is_none_is_refused_when_settings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "edge-detect.toml"
    file.write_text('[webhook]\nbody = """{"a": "{machine}"}"""\n')
    with pytest.raises(UsageError, match="there is no field 'machine'; did you mean machine_id"):
        load_settings(file, {})


def test_what_holds_a_secret_has_no_representation(tmp_path: Path) -> None:
    file = private(tmp_path / "secret", "whsec_c2VjcmV0")
    sink = sink_of("webhook", url=ADDRESS, token_file=str(file), secret_file=str(file))
    for text in (repr(sink), repr(sink._settings), repr(sink._target)):
        assert SECRET not in text
        assert "c2VjcmV0" not in text
    assert sink._target.place == "https://hooks.example.org"
