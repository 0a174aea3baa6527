"""Topics to publish on: whatever a machine is called, it has topics of its own, and no others."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_runtime.errors import UsageError
from edge_runtime.mqtt.topics import LONGEST_TOPIC, TopicTemplate, escaped, is_topic

NAMES = ("machine_id", "kind", "subject")
TRICKY = st.text(st.sampled_from("ab_%+#/$25F\0\n\x7f\x9f\ud800\udc00\ufdd0\ufffe\U0010ffff é😀"), max_size=6)
ANY = st.text(st.characters(exclude_categories=()), max_size=8)
TEXTS = TRICKY | ANY


def template(text: str, **given: object) -> TopicTemplate:
    return TopicTemplate(text, NAMES, where="[mqtt_sink] alarm_topic", **given)  # type: ignore[arg-type]


@settings(deadline=None)
@given(TEXTS, TEXTS)
@example("", "_")
@example("%5F", "_")
@example("a/b", "a%2Fb")
def test_no_two_names_are_the_same_in_a_topic(one: str, other: str) -> None:
    assert (escaped(one) == escaped(other)) == (one == other)


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=3, max_size=3), st.lists(TEXTS, min_size=3, max_size=3))
def test_a_topic_is_of_one_set_of_values_and_has_the_levels_of_its_template(
    ones: list[str], others: list[str]
) -> None:
    made = template("plant/m-{machine_id}/{kind}/{subject}.alarm")
    first = made.of(**dict(zip(NAMES, ones, strict=True)))
    second = made.of(**dict(zip(NAMES, others, strict=True)))
    assert (first == second) == (ones == others)
    assert is_topic(first)
    assert not set(first) & set("+#\0\n\x7f\x9f")
    levels = first.split("/")
    assert (len(levels), levels[0]) == (4, "plant")
    assert all(levels)


@settings(deadline=None)
@given(TEXTS)
def test_no_name_leads_to_the_brokers_own_topics(name: str) -> None:
    assert not template("{machine_id}/x").of(machine_id=name).startswith("$")


def test_names_of_letters_stay_readable() -> None:
    assert escaped("Presse 1, Süd.2") == "Presse 1, Süd.2"
    assert escaped("hall/1+2#$%") == "hall%2F1%2B2%23%24%25"
    made = template("{client_id}/{machine_id}/x", known={"client_id": "gate/1"})
    assert made.of(machine_id="") == "gate%2F1/_/x"
    named = template("{client_id}-{machine_id}", known={"client_id": "{kind}"})
    assert named.of(machine_id="m") == "{kind}-m"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty topic"),
        ("plant/+/alarm", r"\+ and # are for those who subscribe; name the topic itself"),
        ("plant/#", r"\+ and #"),
        ("$SYS/{machine_id}", r"begin with \$"),
        ("plant/{machine}", r"no placeholder \{machine\} for it; there are: \{machine_id\}"),
        ("plant/{machine_id", "brace"),
        ("plant/}", "brace"),
        ("plant/{}", r"no placeholder \{\}"),
        ("plant/\0", "control code"),
        ("plant/\ud800", "half a letter"),
        ("plant/{machine_id}-{subject}", "two placeholders in one level; put a / between them"),
        ("plant/{machine_id}{machine_id}", "two placeholders in one level"),
        ("x" * (LONGEST_TOPIC + 1), "longer than 65,535 bytes"),
    ],
)
def test_what_is_no_topic_is_refused_with_what_helps(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as found:
        template(text)
    assert found.value.where == "[mqtt_sink] alarm_topic"
    assert str(found.value).isprintable()
    assert found.value.hint


def test_a_topic_that_has_to_be_of_one_machine_names_it() -> None:
    with pytest.raises(UsageError, match=r"same topic for every machine_id; put \{machine_id\} into it"):
        template("plant/state", needs=("machine_id",))
    template("plant/alarms")


def test_topics_that_could_be_the_same_are_found() -> None:
    def meet(one: str, other: str) -> bool:
        first, second = template(one), template(other)
        assert first.may_meet(second) is second.may_meet(first)
        return first.may_meet(second)

    assert meet("a/{machine_id}/{subject}", "a/{machine_id}/state")
    assert meet("a/{machine_id}", "a/m-{machine_id}")
    assert meet("a", "a")
    assert not meet("a/{machine_id}/alarm", "a/{machine_id}/state")
    assert not meet("a/{machine_id}/alarm", "a/{machine_id}")
    assert not meet("a/m-{machine_id}", "a/n-{machine_id}")
    assert not meet("a/{machine_id}-m", "a/status")
