"""The template of a webhook's body: what it may say, and that a value changes its own place alone."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.alarmtargets import some_changes
from support.webhooks import change

from edge_runtime.engine.alarmtext import sentence, title
from edge_runtime.errors import UsageError
from edge_runtime.sinks.posting.template import FIELDS, Template, values_of
from edge_runtime.sinks.webhook import WebhookSettings

TEXTS = st.text(st.characters(), max_size=30) | st.sampled_from(
    ['"', '","x":"', "\\", "{text}", "{{", "}", "\n", "\u2028", "\x00", "\udc80", '"}', "</script>"]
)


def filled(text: str, **fields: Any) -> Any:
    """A template with the fields of a change, by way of JSON."""
    return json.loads(json.dumps(Template(text).filled(values_of(change(**fields)))))


def test_the_fields_are_those_of_every_change_and_two_texts() -> None:
    for one in some_changes():
        assert (*one.to_dict(), "text", "title") == FIELDS
        assert values_of(one) == {**one.to_dict(), "text": sentence(one), "title": title(one)}


def test_a_text_that_is_one_place_becomes_the_value_itself() -> None:
    names = ("revision", "active", "severity", "sensors", "comment", "subject", "machine_id")
    document = {name: f"{{{name}}}" for name in names}
    found = filled(json.dumps({"a": [document, 5, None, True, {"b": 1.5}]}), severity=4.5, comment=None)
    wanted = values_of(change(severity=4.5, comment=None))
    assert found == {"a": [{name: wanted[name] for name in names}, 5, None, True, {"b": 1.5}]}
    assert found["a"][0]["active"] is True
    assert found["a"][0]["sensors"][0]["name"]


def test_in_a_longer_text_values_are_written_out_and_nothing_stands_for_none() -> None:
    text = '"{machine_id}/{kind}: rev {revision}, {active}, {severity}, <{comment}>, { rows }"'
    found = filled(text, machine_id="press 1", severity=4.5, comment=None, rows=3)
    assert found == "press 1/machine: rev 1, true, 4.5, <>, 3"


def test_braces_are_doubled_and_names_in_objects_stay_as_they_are() -> None:
    assert filled('{"{text}": "{{text}} {{{machine_id}}} }}{{"}', machine_id="m") == {
        "{text}": "{text} {m} }{"
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"\[webhook\] body, line 1, column 1: not JSON \(Expecting value\); such as: "),
        ('{"a": 1,}', "line 1, column 9: not JSON"),
        ("{'a': 1}", "not JSON"),
        ('{"a": NaN}', r"not JSON \(there is no NaN\)"),
        ("[" * 100_000, "nested too deeply"),
        (
            '{"a": "{machine}"}',
            r"\[webhook\] body, at .a: there is no field 'machine'; did you mean machine_id",
        ),
        ('{"a": "{machine}"}', "; there are: time, change, event_id, .*, text, title$"),
        ('{"a": [1, {"b": "{}"}]}', r"at .a\[1\].b: there is no field ''; there are: time"),
        ('{"a": "{x!r}"}', "there is no field 'x!r'"),
        ('{"a": "{sensors[0]}"}', r"there is no field 'sensors\[0\]'; did you mean sensors"),
        ('{"a": "{text"}', "at .a: a single {; write {{ for a brace"),
        ('{"a": "text}"}', "at .a: a single }; write }} for a brace"),
        ('"{{text}"', "at .: a single }; write }} for a brace"),
    ],
)
def test_what_is_no_template_is_refused_where_it_is_wrong(text: str, words: str) -> None:
    for make in (Template, lambda text: WebhookSettings(body=text)):
        with pytest.raises(UsageError, match=words) as caught:
            make(text)
        assert str(caught.value).isprintable()


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["machine_id", "comment", "acknowledged_by", "subject"]), TEXTS))
def test_whatever_names_and_comments_say_the_document_is_what_was_meant(fields: dict[str, Any]) -> None:
    template = (
        '{"plain": "{machine_id}", "list": ["{comment}"], "text": "m={machine_id} c={comment} s={subject}",'
        ' "by": {"name": "{acknowledged_by}"}, "said": "{text}"}'
    )
    values = values_of(change(**fields))
    found = json.loads(json.dumps(Template(template).filled(values)).encode())
    texts = {name: values[name] or "" for name in ("machine_id", "comment", "subject")}
    assert found == {
        "plain": values["machine_id"],
        "list": [values["comment"]],
        "text": "m={machine_id} c={comment} s={subject}".format_map(texts),
        "by": {"name": values["acknowledged_by"]},
        "said": values["text"],
    }


@settings(deadline=None)
@given(st.text(max_size=40))
def test_a_template_without_braces_is_itself_and_one_with_doubled_braces_too(text: str) -> None:
    doubled = re.sub("[{}]", lambda brace: brace[0] * 2, text)
    assert Template(json.dumps([doubled])).filled({}) == [text]
