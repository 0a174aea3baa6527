"""What the commands do with signed bundles and trusted keys, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.commands import assert_one_clear_line
from support.edge import DEFAULT, Edge, edge_in
from support.signing import KEY, NOW, Gateway, signed

from edge_runtime import cli as detect

if TYPE_CHECKING:
    from support.commands import Command


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Edge:
    return edge_in(tmp_path, monkeypatch, capsys)


# --- verify, inspect, score


def test_verify_says_the_signatures_result_among_the_others(edge: Edge) -> None:
    Path("press.pub").write_text(KEY.public.to_pem())
    Path("bundle.onnx.sig").write_bytes(signed(DEFAULT, expires="2099-01-01T00:00:00Z"))
    code, out, _ = edge.detect("verify", "bundle.onnx")
    assert (code, out.splitlines()[1]) == (0, "ok       signature       not checked: no trusted keys are set")
    code, out, err = edge.detect("verify", "bundle.onnx", "--trusted-key", "press.pub")
    assert (code, out.splitlines()[-1]) == (1, "REFUSED  signature")
    assert err == (
        "edge-detect: bundle.onnx: signed for 'line-2', but the target here is 'default'; "
        "have it signed with --target default, or correct [trust] target\n"
    )
    words = ("--trusted-key", KEY.public.entry, "--target", "line-2")
    code, out, _ = edge.detect("verify", "bundle.onnx", *words, "--json")
    step = json.loads(out)["steps"][1]
    assert (code, step["name"], step["ok"]) == (0, "signature", True)
    assert step["finding"].startswith("key press, version 5")
    assert not list(Path("state").rglob("accepted.json"))


def test_inspect_shows_the_signature_and_whether_it_was_checked(edge: Edge) -> None:
    _, out, _ = edge.detect("inspect", "bundle.onnx")
    assert out.endswith("signature\n  file  none\n")
    assert json.loads(edge.detect("inspect", "bundle.onnx", "--json")[1])["signature"] is None
    Path("bundle.onnx.sig").write_bytes(signed(DEFAULT, expires="2099-01-01T00:00:00Z"))
    _, out, _ = edge.detect("inspect", "bundle.onnx")
    assert "  checked  no: name the key with --trusted-key\n  version  5\n  target   line-2\n" in out
    words = ("inspect", "bundle.onnx", "--trusted-key", KEY.public.entry, "--target", "line-2")
    _, out, _ = edge.detect(*words)
    assert "  checked  yes, with the key press\n" in out
    shown = json.loads(edge.detect(*words, "--json")[1])["signature"]
    assert (shown["checked"], shown["key"], shown["version"]) == (True, "press", 5)
    Path("bundle.onnx.sig").write_bytes(b"nonsense")
    code, out, _ = edge.detect("inspect", "bundle.onnx")
    assert code == 0
    assert "cannot be read: the signature file is not JSON" in out
    assert edge.detect(*words)[0] == 1


def test_score_takes_signed_bundles_alone_when_told_so(edge: Edge) -> None:
    Path("in.csv").write_text(
        "time,temperature,vibration,pressure,power\n2026-01-01T00:00:00Z,55,1.2,50,235\n"
    )
    words = ("score", "in.csv", "-o", "out.csv", "--bundle", "bundle.onnx", "--trusted-key", KEY.public.entry)
    code, _, err = edge.detect(*words)
    assert code == 1
    assert "bundle.onnx: not signed" in err
    assert not Path("out.csv").exists()
    Path("bundle.onnx.sig").write_bytes(signed(DEFAULT, expires="2099-01-01T00:00:00Z"))
    assert edge.detect(*words, "--target", "line-2")[0] == 0
    code, _, err = edge.detect("score", "in.csv", "-o", "out.csv", "--target", "line-2")
    assert (code, "no key is trusted" in err) == (2, True)


# --- run


@pytest.fixture
def config(edge: Edge) -> Path:
    """A gateway's configuration: bundle.onnx, signed with press for line-2."""
    Path("press.pub").write_text(KEY.public.to_pem())
    file = Path("gateway.toml")
    file.write_text(
        '[run]\nsource = "simulate"\nbundle = "bundle.onnx"\nrows = 2\nstate = "var/ledger.sqlite"\n'
        "[simulate]\nspeed = 0.0\n"
        '[trust]\nkeys = ["press.pub"]\ntarget = "line-2"\n'
    )
    assert edge
    return file


def sign_default(version: int, expires: str = "2099-01-01T00:00:00Z") -> None:
    Path("bundle.onnx.sig").write_bytes(signed(DEFAULT, version=version, expires=expires))


def test_a_gateway_runs_what_was_signed_for_it_and_goes_never_back(command: Command, config: Path) -> None:
    run = ("edge-detect", "run", "--config", config)
    assert_one_clear_line(command(*run), 1, "bundle.onnx: not signed", "edge-detect keys sign")
    sign_default(5)
    done = command(*run)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
    assert json.loads(Path("var/accepted.json").read_text())["remembered"][0]["version"] == 5
    sign_default(4)
    assert_one_clear_line(command(*run), 1, "version 4 is older than 5, which was accepted here before")
    done = command("edge-detect", "verify", "--config", config)
    assert_one_clear_line(done, 1, "version 4 is older than 5")
    # Without the configuration's bundle: the default one, which nobody signed.
    config.write_text(config.read_text().replace('bundle = "bundle.onnx"\n', ""))
    assert_one_clear_line(command(*run), 1, "default.onnx: not signed")


def test_an_expired_bundle_is_not_started_but_goes_on_with_a_warning(command: Command, config: Path) -> None:
    run = ("edge-detect", "run", "--config", config)
    Path("bundle.onnx.sig").write_bytes(signed(DEFAULT, version=5, expires="2026-11-22T00:00:00Z"))
    assert_one_clear_line(command(*run), 1, "the signature expired on 2026-11-22T00:00:00Z")
    # As if it had been accepted while it was valid.
    sign_default(4)
    assert command(*run).returncode == 0
    Path("bundle.onnx.sig").write_bytes(signed(DEFAULT, version=5, expires="2026-11-22T00:00:00Z"))
    done = command(*run)
    assert done.returncode == 0
    assert done.stderr.decode().splitlines()[0] == (
        "edge-detect: bundle.onnx: the signature expired on 2026-11-22T00:00:00Z, "
        "but this bundle was accepted before that"
    )
    # Another bundle with such a signature is none that runs here.
    Gateway(Path("var"), now=NOW).install(b"another", signed(b"another", version=6))
    assert_one_clear_line(command(*run), 1, "version 5 is older than 6")


@pytest.mark.parametrize(
    ("trust", "message"),
    [
        ("keys = []", "[trust] keys: no key is trusted; name a .pub file, or leave out [trust]"),
        ('target = "line-2"', "[trust] keys: no key is trusted"),
        ('keys = ["none.pub"]', "none.pub: cannot read the key"),
        (
            'keys = ["press.key"]',
            "press.key: this is the private key, which no gateway needs; name press.pub",
        ),
        ('keys = ["bad:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]', "key bad: not an ed25519 public key"),
        ('keys = "press.pub"', "'press.pub' is not a list; write [\"press.pub\"]"),
        ('keyz = ["press.pub"]', "there is no 'keyz' in [trust]; did you mean keys?"),
    ],
)
def test_a_wrong_trust_is_a_usage_error_and_never_none(edge: Edge, trust: str, message: str) -> None:
    Path("press.key").write_text(KEY.to_pem())
    Path("press.key").chmod(0o600)
    Path("gateway.toml").write_text(f"[run]\nsource = 'simulate'\n[trust]\n{trust}\n")
    code, out, err = edge.detect("run", "--config", "gateway.toml", "--rows", 1)
    assert (code, out) == (2, "")
    assert message in err


def test_without_pynacl_everything_works_but_keys(edge: Edge) -> None:
    assert edge
    hidden = "import sys; sys.modules['nacl'] = None; from edge_runtime.cli import main; main()"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(Path(detect.__file__).parents[2])}
        done = [sys.executable, "-c", hidden, *words]
        return subprocess.run(done, capture_output=True, text=True, check=False, env=environment)

    assert run("run", "--rows", "1", "--speed", "0").returncode == 0
    sign_default(5)
    assert run("inspect", "bundle.onnx").returncode == 0
    for words in (
        ("run", "--rows", "1", "--trusted-key", KEY.public.entry, "--bundle", "bundle.onnx"),
        ("verify", "bundle.onnx", "--trusted-key", KEY.public.entry),
        ("keys", "new", "press"),
    ):
        done = run(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith(
            "checking their signatures needs the extra 'signing', which is not installed; "
            "pip install 'edge-detect[signing]'\n"
        )
        assert done.stderr.count("\n") == 1
    assert not Path("press.key").exists()
