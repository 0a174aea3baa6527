"""The systemd unit and the example configuration: what they promise holds."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

from edge_runtime.gateway.settings import AlarmsPart, load_settings
from edge_runtime.sinks.base import OnlyAlarms
from edge_runtime.sinks.influx import InfluxSinkSettings
from edge_runtime.sources.influx import InfluxSourceSettings

SYSTEMD = Path(__file__).parents[2] / "packaging/systemd"

# What MemoryDenyWriteExecute= does, by hand: a seccomp filter that refuses memory which is writable and
# executable at once, or becomes executable. The program then scores the default bundle
# and checks a signature.
UNDER_THE_FILTER = """
import ctypes, mmap, platform, struct

numbers = {"x86_64": (9, 10, 329), "aarch64": (222, 226, 288)}[platform.machine()]
LOAD, EQUAL, SET, AND, RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050001
NUMBER, PROTECTION = 0, 16 + 8 * 2
steps = [
    (LOAD, 0, 0, NUMBER),
    (EQUAL, 2, 0, numbers[1]),
    (EQUAL, 1, 0, numbers[2]),
    (EQUAL, 2, 6, numbers[0]),
    (LOAD, 0, 0, PROTECTION),  # mprotect: anything executable
    (SET, 3, 4, mmap.PROT_EXEC),
    (LOAD, 0, 0, PROTECTION),  # mmap: writable and executable
    (AND, 0, 0, mmap.PROT_WRITE | mmap.PROT_EXEC),
    (EQUAL, 0, 1, mmap.PROT_WRITE | mmap.PROT_EXEC),
    (RETURN, 0, 0, REFUSE),
    (RETURN, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))

class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(steps), ctypes.addressof(code))
assert libc.prctl(38, 1, 0, 0, 0) == 0, "no new privileges"
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("refused")

from edge_runtime import Engine, load_bundle
from edge_runtime.bench.rows import make_rows
bundle = load_bundle()
print(len(Engine(bundle).feed(make_rows(bundle.metadata, 3))))
from edge_runtime.signing.keys import make_key
key = make_key("press")
print(key.public.verifies(b"", key.sign(b"")))
"""


def unit() -> configparser.ConfigParser:
    # A unit may set a key several times; the last one is enough here.
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(SYSTEMD / "edge-detect.service", encoding="utf-8")
    return parser


def test_the_service_is_a_user_of_its_own_and_runs_the_program_directly() -> None:
    service = unit()["Service"]
    assert service["ExecStart"] == (
        "/opt/edge-detect/bin/edge-detect run --config /etc/edge-detect/edge-detect.toml"
    )
    assert (service["DynamicUser"], service["User"]) == ("yes", "edge-detect")
    assert service["StateDirectory"] == "edge-detect"


def test_scoring_needs_no_memory_that_is_writable_and_executable() -> None:
    assert unit()["Service"]["MemoryDenyWriteExecute"] == "yes"
    done = subprocess.run(
        [sys.executable, "-c", UNDER_THE_FILTER], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["refused", "3", "True"]


def test_the_example_configuration_is_accepted_and_stays_where_the_service_may_write() -> None:
    settings = load_settings(SYSTEMD / "edge-detect.toml", {})
    assert (settings.run.source, settings.run.sinks) == ("influx", ("influx",))
    assert settings.run.state == Path("/var/lib") / unit()["Service"]["StateDirectory"] / "ledger.sqlite"
    assert settings.source.given[InfluxSourceSettings].token_file is None


def test_what_the_example_shows_behind_a_hash_is_accepted_too(tmp_path: Path) -> None:
    text = (SYSTEMD / "edge-detect.toml").read_text(encoding="utf-8")
    uncommented = re.sub(r"(?m)^#(?=[\w.]+ = |\[)", "", text)
    assert uncommented != text
    (tmp_path / "all.toml").write_text(uncommented, encoding="utf-8")
    settings = load_settings(tmp_path / "all.toml", {})
    credential = unit()["Service"]["LoadCredential"].split(":")[0]
    assert (
        settings.source.given[InfluxSourceSettings].token_file
        == Path("/run/credentials/edge-detect.service") / credential
    )
    assert settings.sinks[0].given[InfluxSinkSettings].database == "alerts"
    assert settings.trust.target == "line-2"
    assert [rule.name for rule in settings.rules] == ["crane"]
    assert settings.alarms == AlarmsPart()
    with_mail = load_settings(tmp_path / "all.toml", {"run": {"sinks": ["email"]}})
    assert with_mail.sinks[0].kind.chosen(with_mail.sinks[0].given)[1] == OnlyAlarms(priority="medium")
