"""`edge-detect keys` and `edge-export --sign`, as a user runs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.bundles import make_checkpoint
from support.edge import DEFAULT, Edge, edge_in, table
from support.signing import KEY

from edge_runtime.errors import UsageError
from edge_runtime.loading.load import load_bundle
from edge_runtime.signing.envelope import Envelope, Statement
from edge_runtime.signing.keys import PrivateKey, new_key, read_key, trusted_key


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Edge:
    return edge_in(tmp_path, monkeypatch, capsys)


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
        f"edge-detect: {there}: this key exists already, and a key is never overwritten; "
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
        (("list", "empty"), "empty: there are no keys in this folder; create one"),
        (("show", "none.key"), "none.key: cannot read the key (No such file or directory)"),
        (("show", "bundle.onnx"), "bundle.onnx: not a file with one ed25519 key"),
        (("show", "open.key"), "open.key: others may read this private key; chmod 600 open.key"),
        (("new", "x", "-o", "none"), "none: cannot write the key (No such file or directory)"),
        (
            ("sign", "bundle.onnx", "--key", "press.pub"),
            "this is a public key, which cannot sign; name press",
        ),
        (("sign", "bundle.onnx", "--key", "press.key", "--expires", "soon"), "'soon' is not a time"),
        (("sign", "bundle.onnx", "--key", "press.key", "--expires", "2020-01-01"), "is in the past"),
        (("sign", "bundle.onnx", "--key", "press.key", "--expires", "0s"), "is in the past"),
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
        (
            ("--target", "line-2"),
            "--expires, --bundle-version and --target require a key; name the private key with --sign",
        ),
        (("--sign", "none.key"), "none.key: cannot read the key"),
        (("--sign", "press.pub"), "press.pub: this is a public key"),
    ):
        code, _, err = edge("edge-export", checkpoint, "-o", "b.onnx", *words)
        assert code == 2
        assert message in err
        assert not Path("b.onnx").exists()
