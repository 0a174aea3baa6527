"""`edge-detect keys`, and what the other commands do with keys, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.bundles import make_checkpoint
from support.commands import assert_one_clear_line
from support.signing import KEY, NOW, Gateway, signed

from edge_runtime import cli as detect
from edge_runtime.bundle.load import load_bundle, read_bundle
from edge_runtime.errors import UsageError
from edge_runtime.signing.envelope import Envelope, Statement
from edge_runtime.signing.keys import PrivateKey, new_key, read_key, trusted_key
from export import cli as export

if TYPE_CHECKING:
    from support.commands import Command

DEFAULT = read_bundle(None)[1]


class Edge:
    """Runs a command line of the project in this process, in a folder of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, program: str, *words: object) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.monkeypatch.setattr(sys, "argv", [program, *map(str, words)])
        with pytest.raises(SystemExit) as done:
            {"edge-detect": detect.main, "edge-export": export.main}[program]()
        return int(done.value.code or 0), *self.capsys.readouterr()

    def detect(self, *words: object) -> tuple[int, str, str]:
        return self("edge-detect", *words)


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Edge:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "bundle.onnx").write_bytes(DEFAULT)
    return Edge(monkeypatch, capsys)


def table(text: str) -> dict[str, str]:
    return {line[:12].strip(): line[13:] for line in text.splitlines()}


# --- making and showing keys


def test_a_new_key_is_two_files_and_the_secret_is_its_owners_alone(edge: Edge) -> None:
    before = os.umask(0)
    try:
        code, out, _ = edge.detect("keys", "new", "press")
    finally:
        os.umask(before)
    assert code == 0
    private, public = Path("press.key"), Path("press.pub")
    assert private.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    key = read_key(private)
    assert isinstance(key, PrivateKey)
    assert read_key(public) == key.public
    rows = table(out)
    assert rows["id"] == key.public.id
    assert rows["trusted as"] == f'keys = ["{key.public.entry}"]'
    assert trusted_key(key.public.entry) == trusted_key("press.pub") == key.public
    assert private.read_text().splitlines()[2] not in out
    assert "private key press" in private.read_text().splitlines()[0]
    assert edge.detect("keys", "new", "lathe")[0] == 0
    assert read_key(Path("lathe.key")) != key


@pytest.mark.parametrize("there", ["press.key", "press.pub"])
def test_a_key_is_never_overwritten(edge: Edge, there: str) -> None:
    Path(there).write_text("precious")
    code, out, err = edge.detect("keys", "new", "press")
    assert (code, out) == (2, "")
    assert err == (
        f"edge-detect: {there}: there is such a key already, and a key is never overwritten; "
        "choose another name\n"
    )
    assert Path(there).read_text() == "precious"
    assert sorted(path.name for path in Path().glob("press*")) == [there]


@pytest.mark.parametrize("name", ["../press", "a b", "", ".hidden", "x" * 65, "line\n2", "a:b"])
def test_a_name_that_is_no_files_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a key's name"):
        new_key(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_list_and_show_name_what_there_is_and_never_the_secret(edge: Edge) -> None:
    edge.detect("keys", "new", "press")
    Path("ring").mkdir()
    edge.detect("keys", "new", "lathe", "-o", "ring")
    code, out, _ = edge.detect("keys", "list")
    press = read_key(Path("press.pub"))
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["press", "private", press.id, "press.key"],  # type: ignore[union-attr]
        ["press", "public", press.id, "press.pub"],  # type: ignore[union-attr]
    ]
    assert len(edge.detect("keys", "list", "ring")[1].splitlines()) == 2
    secret = Path("press.key").read_text().splitlines()[2]
    for file, kind in (("press.key", "private"), ("press.pub", "public")):
        code, out, _ = edge.detect("keys", "show", file)
        rows = table(out)
        assert (code, rows["name"], rows["kind"], rows["file"]) == (0, "press", kind, file)
        assert rows["id"] == press.id  # type: ignore[union-attr]
        assert secret not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("list", "none"), "none: there is no such folder"),
        (("list", "empty"), "empty: no keys here; make one"),
        (("show", "none.key"), "none.key: cannot read the key (No such file or directory)"),
        (("show", "bundle.onnx"), "bundle.onnx: not a file with one ed25519 key"),
        (("show", "open.key"), "open.key: others may read this private key; chmod 600 open.key"),
        (("new", "x", "-o", "none"), "none: cannot write the key (No such file or directory)"),
        (
            ("sign", "bundle.onnx", "--key", "press.pub"),
            "this is a public key, which signs nothing; name press",
        ),
        (("sign", "bundle.onnx", "--key", "press.key", "--expires", "soon"), "'soon' is not a time"),
        (("sign", "bundle.onnx", "--key", "press.key", "--expires", "2020-01-01"), "is over already"),
        (("sign", "bundle.onnx", "--key", "press.key", "--expires", "0s"), "is over already"),
        (("sign", "bundle.onnx", "--key", "press.key", "--expires", "9999999d"), "beyond the year 9999"),
        (
            ("sign", "bundle.onnx", "--key", "press.key", "--bundle-version", "0"),
            "--bundle-version: must be 1",
        ),
        (("sign", "bundle.onnx", "--key", "press.key", "--target", "line 2"), "--target: must be 1 to 100"),
        (("sign", "none.onnx", "--key", "press.key"), "none.onnx: cannot read the bundle"),
    ],
)
def test_what_is_wrong_is_one_clear_line(edge: Edge, words: tuple[str, ...], message: str) -> None:
    Path("empty").mkdir()
    Path("press.pub").write_text(KEY.public.to_pem())
    Path("press.key").write_text(KEY.to_pem())
    Path("press.key").chmod(0o600)
    Path("open.key").write_text(KEY.to_pem())
    Path("open.key").chmod(0o640)
    code, out, err = edge.detect("keys", *words)
    assert (code, out) == (2, "")
    assert err.startswith("edge-detect: ")
    assert message in err
    assert err.count("\n") == 1
    assert not Path("bundle.onnx.sig").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        KEY.public.to_pem().replace("MCow", "MCox"),
        KEY.public.to_pem() + KEY.public.to_pem(),
        KEY.public.to_pem().replace("END PUBLIC", "END PRIVATE"),
        KEY.public.to_pem().replace("ed25519", "ed25519\n-----BEGIN NOTHING-----"),
    ],
)
def test_what_is_no_key_is_not_taken_for_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.pub").write_text(text)
    with pytest.raises(UsageError, match="not a file with one ed25519 key"):
        trusted_key(str(tmp_path / "a.pub"))


# --- signing


def test_signing_what_was_exported_before(edge: Edge) -> None:
    edge.detect("keys", "new", "press")
    code, out, _ = edge.detect(
        *(
            "keys",
            "sign",
            "bundle.onnx",
            "--key",
            "press.key",
            "--expires",
            "2030-06-01",
            "--target",
            "line-2",
        )
    )
    rows = table(out)
    assert code == 0
    assert (rows["signature"], rows["expires"], rows["target"]) == (
        "bundle.onnx.sig",
        "2030-06-01T00:00:00Z",
        "line-2",
    )
    said = Statement.from_bytes(Envelope.from_bytes(Path("bundle.onnx.sig").read_bytes()).payload)
    assert (said.digest, said.length) == (load_bundle().digest, len(DEFAULT))
    assert rows["version"] == str(said.version)
    assert len(rows["version"]) == 14  # a date and a time
    edge.detect("keys", "sign", "bundle.onnx", "--key", "press.key", "--bundle-version", 7)
    said = Statement.from_bytes(Envelope.from_bytes(Path("bundle.onnx.sig").read_bytes()).payload)
    assert (said.version, said.target) == (7, "default")


def test_a_damaged_bundle_is_not_signed(edge: Edge) -> None:
    edge.detect("keys", "new", "press")
    Path("bundle.onnx").write_bytes(DEFAULT[:-1])
    code, _, err = edge.detect("keys", "sign", "bundle.onnx", "--key", "press.key")
    assert (code, err.count("\n")) == (1, 1)
    assert not Path("bundle.onnx.sig").exists()


def test_export_signs_what_it_writes(edge: Edge, tmp_path: Path) -> None:
    edge.detect("keys", "new", "press")
    checkpoint = make_checkpoint(tmp_path / "checkpoint")
    words = (checkpoint, "-o", "b.onnx", "--sign", "press.key", "--bundle-version", 3, "--expires", "30d")
    code, out, _ = edge("edge-export", *words, "--target", "line-2")
    assert code == 0
    assert table(out)["signature"] == "b.onnx.sig"
    code, out, _ = edge.detect("verify", "b.onnx", "--trusted-key", "press.pub", "--target", "line-2")
    assert code == 0
    assert "ok       signature       key press, version 3, for line-2, expires" in out


def test_an_export_that_cannot_be_signed_writes_nothing(edge: Edge, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "checkpoint")
    Path("press.pub").write_text(KEY.public.to_pem())
    for words, message in (
        (("--target", "line-2"), "an option of a signature without a key; name the key with --sign"),
        (("--sign", "none.key"), "none.key: cannot read the key"),
        (("--sign", "press.pub"), "press.pub: this is a public key"),
    ):
        code, _, err = edge("edge-export", checkpoint, "-o", "b.onnx", *words)
        assert code == 2
        assert message in err
        assert not Path("b.onnx").exists()


# --- verify, inspect, score


def test_verify_says_the_signatures_result_among_the_others(edge: Edge) -> None:
    Path("press.pub").write_text(KEY.public.to_pem())
    Path("bundle.onnx.sig").write_bytes(signed(DEFAULT, expires="2099-01-01T00:00:00Z"))
    code, out, _ = edge.detect("verify", "bundle.onnx")
    assert (code, out.splitlines()[1]) == (0, "ok       signature       not asked for: no trusted keys")
    code, out, err = edge.detect("verify", "bundle.onnx", "--trusted-key", "press.pub")
    assert (code, out.splitlines()[-1]) == (1, "REFUSED  signature")
    assert err == (
        "edge-detect: bundle.onnx: signed for 'line-2', but this is 'default'; "
        "have it signed with --target default, or correct [trust] target\n"
    )
    words = ("--trusted-key", KEY.public.entry, "--target", "line-2")
    code, out, _ = edge.detect("verify", "bundle.onnx", *words, "--json")
    step = json.loads(out)["steps"][1]
    assert (code, step["name"], step["ok"]) == (0, "signature", True)
    assert step["finding"].startswith("key press, version 5")
    assert not Path("state").exists()


def test_inspect_shows_the_signature_and_whether_it_was_checked(edge: Edge) -> None:
    _, out, _ = edge.detect("inspect", "bundle.onnx")
    assert out.endswith("signature\n  file  none\n")
    assert json.loads(edge.detect("inspect", "bundle.onnx", "--json")[1])["signature"] is None
    Path("bundle.onnx.sig").write_bytes(signed(DEFAULT, expires="2099-01-01T00:00:00Z"))
    _, out, _ = edge.detect("inspect", "bundle.onnx")
    assert "  checked  no: name a --trusted-key\n  version  5\n  target   line-2\n" in out
    words = ("inspect", "bundle.onnx", "--trusted-key", KEY.public.entry, "--target", "line-2")
    _, out, _ = edge.detect(*words)
    assert "  checked  yes, with the key press\n" in out
    shown = json.loads(edge.detect(*words, "--json")[1])["signature"]
    assert (shown["checked"], shown["key"], shown["version"]) == (True, "press", 5)
    Path("bundle.onnx.sig").write_bytes(b"nonsense")
    code, out, _ = edge.detect("inspect", "bundle.onnx")
    assert code == 0
    assert "none that can be read: the signature file is not JSON" in out
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
        '[run]\nbundle = "bundle.onnx"\nrows = 2\nstate = "var/ledger.sqlite"\n[simulate]\nspeed = 0.0\n'
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
        ("keys = []", "trust.keys: no key is trusted; name a .pub file, or leave out [trust]"),
        ('target = "line-2"', "trust.keys: no key is trusted"),
        ('keys = ["none.pub"]', "none.pub: cannot read the key"),
        (
            'keys = ["press.key"]',
            "press.key: this is the private key, which no gateway needs; name press.pub",
        ),
        ('keys = ["bad:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]', "key bad: not an ed25519 public key"),
        ('keys = "press.pub"', "not a list of texts"),
        ('keyz = ["press.pub"]', "no 'keyz' in [trust]; there are: keys, target, state"),
    ],
)
def test_a_wrong_trust_is_a_usage_error_and_never_none(edge: Edge, trust: str, message: str) -> None:
    Path("press.key").write_text(KEY.to_pem())
    Path("press.key").chmod(0o600)
    Path("gateway.toml").write_text(f"[trust]\n{trust}\n")
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
