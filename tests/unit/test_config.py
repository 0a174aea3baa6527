"""The configuration: TOML, overridden by options and `--set`; wrong names and values are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_runtime.config import nearest, settings_of
from edge_runtime.errors import UsageError
from edge_runtime.gateway.settings import RunPart, load_settings
from edge_runtime.mapping.cells import check_machine
from edge_runtime.mapping.form import DefaultMachine, Form, TimeForm
from edge_runtime.sinks.influx import InfluxSinkSettings
from edge_runtime.sinks.jsonl import JsonlSettings
from edge_runtime.sources.influx import InfluxSourceSettings
from edge_runtime.sources.mqtt import MqttSettings
from edge_runtime.sources.simulate import SimulateSettings

ROOT = Path(__file__).parents[2]


def test_without_anything_machines_are_simulated_and_rows_printed() -> None:
    settings = load_settings(None, {})
    assert settings.run == RunPart()
    assert settings.source.kind.name == "simulate"
    assert settings.source.given[SimulateSettings] == SimulateSettings()
    assert [sink.kind.name for sink in settings.sinks] == ["stdout"]


def test_options_override_the_file_and_empty_ones_do_not(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        '[run]\nsource = "influx"\nsinks = ["influx", "stdout"]\n'
        '[influx]\nurl = "http://a:1"\ndatabase = "x"\npoll = 2\n'
    )
    settings = load_settings(file, {"run": {"source": None, "sinks": []}, "influx": {"database": "y"}})
    assert settings.source.kind.name == "influx"
    assert settings.run.sinks == ("influx", "stdout")
    part = settings.source.given[InfluxSourceSettings]
    assert (part.url, part.database, part.poll) == ("http://a:1", "y", 2.0)


def test_an_assignment_overrides_both_and_becomes_what_its_setting_wants(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[run]\nsource = "stdin"\n[influx]\npoll = 2\n')
    settings = load_settings(
        file,
        {"influx": {"poll": 3}},
        [
            "run.source=influx",
            "run.sinks=jsonl, influx",
            "influx.poll=4",
            "influx.machines=m1,m2",
            'influx.database="plant 1"',
            "influx.start= -1h",
            "run.rows=5",
            "jsonl.output=out.jsonl",
            "influx_sink.measurement=a=b",
        ],
    )
    part = settings.source.given[InfluxSourceSettings]
    assert (part.poll, part.machines, part.start) == (4.0, ("m1", "m2"), "-1h")
    assert part.database == "plant 1"
    assert (settings.run.rows, settings.run.source) == (5, "influx")
    assert settings.sinks[0].given[JsonlSettings].output == Path("out.jsonl")
    assert settings.sinks[1].given[InfluxSinkSettings].measurement == "a=b"
    assert type(part.start) is str


def test_tables_of_connectors_that_were_not_chosen_may_be_there_and_must_be_right(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        '[run]\nsource = "mqtt"\nsinks = ["influx"]\n[mqtt]\ntopic = "a/{machine}"\n'
        '[influx]\ndatabase = "x"\nlateness = 5\n[csv]\ninput = "x.csv"\n[data]\nmachine = "m"\n'
    )
    settings = load_settings(file, {})
    assert settings.source.given[MqttSettings].topic == "a/{machine}"
    assert settings.source.given[DefaultMachine].machine == "m"
    file.write_text(file.read_text().replace("lateness", "latenes"))
    with pytest.raises(UsageError, match=r"no 'latenes' in \[influx\]; did you mean lateness\?"):
        load_settings(file, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[run", "not TOML"),
        ("[xyz]\n", r"there is no table \[xyz\]; there are: alarmlog, .*csv, data"),
        ("[simulat]\nx = 1\n", r"there is no table \[simulat\]; did you mean simulate\?"),
        ("run = 1\n", "'run' is not a table"),
        ("[run]\nsorce = 'csv'\n", r"there is no 'sorce' in \[run\]; did you mean source\?"),
        ('[influx]\npassword = "x"\n', r"no 'password' in \[influx\]; did you mean password_file\?"),
        ("[simulate]\nspeed = true\n", r"\[simulate\] speed: True is not a number"),
        ("[simulate]\nseed = 1.5\n", r"\[simulate\] seed: 1.5 is not a whole number"),
        ("[run]\nstate = 5\n", r"\[run\] state: 5 is not a path"),
        ('[trust]\nkeys = "m1"\n', r"""\[trust\] keys: 'm1' is not a list; write \["m1"\]"""),
        ("[trust]\nkeys = [1]\n", r"\[trust\] keys: 1 is not a string"),
        ('[run]\nsource = "kafka"\n', "no source 'kafka'; there are: simulate, csv, stdin, influx, mqtt"),
        ('[run]\nsinks = ["jsonk"]\n', r"no sink 'jsonk'; did you mean jsonl\?"),
        ('[run]\nsinks = ["stdout", "stdout"]\n', "each only once"),
        ("[run]\nsinks = []\n", "at least one sink"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=f"c.toml|{words}") as caught:
        load_settings(file, {})
    caught.match(words)


@pytest.mark.parametrize("text", ["poll=2", "influx.=2", ".poll=2", "influx.poll", ""])
def test_an_assignment_that_is_none_is_said(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not TABLE.KEY=VALUE; such as influx.poll=2"):
        load_settings(None, {}, [text])


def test_lists_and_times_as_toml_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[run]\nsource = "influx"\n[influx]\nstart = 2026-01-01T00:00:00Z\nuntil = 2026-01-02\n')
    settings = load_settings(file, {}, ['influx.machines=["a,b", "c"]', "influx.database=x"])
    part = settings.source.given[InfluxSourceSettings]
    assert part.machines == ("a,b", "c")
    assert (part.start, part.until) == ("2026-01-01T00:00:00+00:00", "2026-01-02")


def test_a_list_whose_quotation_marks_a_shell_took_is_no_list_of_letters() -> None:
    with pytest.raises(UsageError, match=r"--set: \[influx\] machines: \[press-1\] is not a list; write"):
        load_settings(None, {"run": {"source": "influx"}}, ["influx.machines=[press-1]"])


def test_a_key_of_a_shared_table_that_only_another_connector_takes_is_refused() -> None:
    run = {"run": {"source": "csv", "sinks": ["influx"]}}
    settings = load_settings(None, run, ["influx.database=plant"])
    assert settings.sinks[0].kind.name == "influx"
    with pytest.raises(UsageError, match=r"influx.measurement belongs to influx, which is not used here"):
        load_settings(None, run, ["influx.measurement=foo"])


def test_a_wrong_value_is_found_in_a_table_that_is_not_used_too(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[run]\nsource = "simulate"\n[influx]\npoll = "fast"\n')
    with pytest.raises(UsageError, match=r"c.toml: \[influx\] poll: 'fast' is not a number"):
        load_settings(file, {})


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the configuration"):
        load_settings(tmp_path / "nothing", {})


def test_the_example_configuration_is_one() -> None:
    settings = load_settings(ROOT / "packaging" / "systemd" / "edge-detect.toml", {})
    assert settings.source.kind.name == "influx"


def test_a_setting_knows_its_kind_its_unit_and_its_option() -> None:
    found: dict[str, Any] = {one.name: one for one in settings_of(InfluxSourceSettings)}
    assert (found["poll"].kind, found["poll"].unit, found["poll"].flag) == (float, "s", "--poll")
    assert (found["machines"].kind, found["machines"].many) == (str, True)
    assert (found["flux_file"].kind, found["flux_file"].default) == (Path, None)


def test_a_hint_names_what_is_near_or_all_there_is() -> None:
    assert nearest("machins", ["machines", "rate"]) == "did you mean machines?"
    assert nearest("sped", ["speed", "seed", "x"]) == "did you mean speed or seed?"
    assert nearest("zzz", ["a", "b"]) == "there are: a, b"
    assert nearest("zzz", []) == "there is none"


def test_the_names_that_columns_had_before_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[run]\nsource = "stdin"\n[data]\ntime_column = "t"\nmachine_column = "m"\n')
    form = load_settings(file, {}).source.given[Form]
    assert (form.time.from_, form.machine) == (("t",), "m")
    form = load_settings(None, {"run": {"source": "stdin"}}, ["data.time_column=when"]).source.given[Form]
    assert form.time.from_ == ("when",)
    file.write_text(file.read_text() + '[map]\ntime.from = ["when"]\n')
    with pytest.raises(UsageError, match=r"'time_column' in \[data\] is now .*, and both are set"):
        load_settings(file, {})


def test_a_table_in_a_table_is_filled_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        '[run]\nsource = "stdin"\n[map]\ntime = { from = "t", zone = "Europe/Berlin" }\nmissing = ["Bad"]\n'
    )
    form = load_settings(file, {}).source.given[Form]
    assert form == Form(TimeForm(from_=("t",), zone="Europe/Berlin"), missing=("Bad",))
    form = load_settings(file, {"map": {"time.zone": "UTC"}}, ["map.decimal=,"]).source.given[Form]
    assert (form.time.zone, form.time.from_, form.decimal) == ("UTC", ("t",), ",")
    file.write_text(file.read_text().replace("zone", "zome"))
    with pytest.raises(UsageError, match=r"no 'time.zome' in \[map\]; did you mean time.zone"):
        load_settings(file, {})
    file.write_text('[run]\nsource = "stdin"\n[map]\ntime = { unit = "h" }\n')
    with pytest.raises(UsageError, match="'h' is no unit of times"):
        load_settings(file, {})


def test_rules_are_read_and_what_is_wrong_with_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    good = '[[rule]]\nname = "a"\nwhy = "x"\nthreshold_factor = 2\n'
    path.write_text(good + '[[rule]]\nname = "b"\nwhy = "y"\npriority = "low"\nmachine = "press-*"\n')
    rules = load_settings(path, {}).rules
    assert [(rule.name, rule.machine, rule.threshold_factor) for rule in rules] == [
        ("a", "*", 2.0),
        ("b", "press-*", None),
    ]
    for text, words in (
        ("[rule]\nname = 'a'\n", r"'rule' is not several tables; write \[\[rule\]\]"),
        ("rule = 5\n", r"'rule' is not several tables"),
        ("[[rules]]\nname = 'a'\n", r"'rules' is not a table; write \[\[rule\]\]"),
        (good + good, "there are two rules 'a'; give each its own name"),
        (good + "lach = true\n", "rule a: a rule has no 'lach'; did you mean latch?"),
        (good + "on_delay_s = '5'\n", r"\[rule a\] on_delay_s: '5' is not a number"),
        (good.replace('"a"', r'"a\nb"'), "rule a.b: name: it has a control character in it"),
        (good + r'machine = "press\u0085"', "rule a: machine: it has a control character in it"),
        (good.replace('"x"', '""'), "rule a: why: it is missing; say why there is this rule"),
        (good * 2 + "[[rule]]\n" * 1000, "1,002 rules, and there may be 1,000"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=words):
            load_settings(path, {})
    with pytest.raises(UsageError, match=r"there is no table \[rule\]"):
        load_settings(None, {}, ["rule.name=a"])


def test_a_rule_may_have_the_letters_that_a_machine_may_have(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    # A joiner as Persian has it within words, spaces that do not break as French has them, and two lines.
    name, why = "پرس\N{ZERO WIDTH NON-JOINER}پرس", "la grue\N{NO-BREAK SPACE}: passe\n\tet repasse"
    check_machine(name)
    path.write_text(
        f"[[rule]]\nname = \"{name}\"\nwhy = '''{why}'''\nmachine = \"{name}\"\npriority = \"low\"\n"
    )
    (rule,) = load_settings(path, {}).rules
    assert (rule.name, rule.machine, rule.why) == (name, name, why)
