"""Which InfluxDB and as whom: what fits together, and where a secret may come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.running import running

from edge_runtime.errors import UsageError
from edge_runtime.influxdb import InfluxSettings, influx_settings

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

URL = "http://127.0.0.1:8086"
SECRET = "t0p-s3cret=="


def private(path: Path, text: str = f"{SECRET}\n", mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture(autouse=True)
def _no_login_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"EDGE_DETECT_INFLUX_{name}", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"database": ""}, "either a database or a bucket; give --database, or --bucket with --org"),
        ({"bucket": "b", "org": "o"}, "either a database or a bucket"),
        ({"database": "", "bucket": "b"}, "a bucket needs its organisation; give --org"),
        ({"timeout": 0.0}, "a timeout of 0 seconds is not possible; choose a positive number"),
        ({"timeout": float("inf")}, "a timeout of inf seconds is not possible"),
        ({"timeout": float("nan")}, "a timeout of nan seconds is not possible"),
        (
            {"token": "a\nb"},
            "the InfluxDB's token contains characters that are not allowed in a token; copy it again",
        ),
        ({"token": "schlüssel"}, "the InfluxDB's token contains characters"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_its_mend(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        InfluxSettings(**{"url": URL, "database": "plant", **options})


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8086",
        "localhost",
        "ftp://127.0.0.1",
        "http://",
        "http://:8086",
        "http://host:0",
        "http://host:99999",
        "http://host:port",
        "http://[::1",
        "http://ho st",
        "http://host\n",
        "",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(UsageError, match="is not the address of an InfluxDB; write for instance http://127"):
        InfluxSettings(url=url, database="plant")


@pytest.mark.parametrize(
    "url", ["http://host", "https://host:8086/", "http://[::1]:8086", "https://gate.example/influx"]
)
def test_addresses_with_and_without_port_path_and_tls_are_taken(url: str) -> None:
    assert InfluxSettings(url=url, database="plant").place == f"{url} (database plant)"


@pytest.mark.parametrize(
    "url",
    [f"http://user:{SECRET}@host:8086", f"http://host:8086?p={SECRET}", f"http://{SECRET}@host:port"],
)
def test_a_login_in_the_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(
        UsageError,
        match="the address of the InfluxDB contains a login or a parameter.*EDGE_DETECT_INFLUX_TOKEN",
    ) as e:
        InfluxSettings(url=url, database="plant")
    assert SECRET not in str(e.value)


def test_secrets_are_not_part_of_the_settings_text() -> None:
    settings = InfluxSettings(url=URL, database="plant", username="ada", password=SECRET, token=SECRET)
    assert SECRET not in repr(settings)
    assert SECRET not in settings.place
    assert "ada" in repr(settings)


def test_without_options_the_login_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_DETECT_INFLUX_USERNAME", "ada")
    monkeypatch.setenv("EDGE_DETECT_INFLUX_PASSWORD", "pass word")
    monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", "")
    settings = influx_settings(url=URL, database="plant")
    assert (settings.username, settings.password, settings.token) == ("ada", "pass word", None)
    assert influx_settings(url=URL, database="plant", username="eve").username == "eve"


def test_a_secrets_file_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", "other")
    monkeypatch.setenv("EDGE_DETECT_INFLUX_PASSWORD", "other")
    file = private(tmp_path / "secret")
    settings = influx_settings(url=URL, database="plant", token_file=file, password_file=file)
    assert (settings.token, settings.password) == (SECRET, SECRET)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_file_that_its_owner_alone_may_read_is_taken(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "secret", mode=mode)
    assert influx_settings(url=URL, database="plant", token_file=file).token == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o444])
def test_a_file_that_others_may_open_is_refused_with_the_mend(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "secret", mode=mode)
    with pytest.raises(UsageError) as caught:
        influx_settings(url=URL, database="plant", password_file=file)
    assert str(caught.value) == f"{file}: others may read this secret; chmod 600 {file}"


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "must hold one line"), ("\n \n", "must hold one line"), ("a\nb\n", "must hold one line")],
)
def test_a_file_without_just_one_line_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        influx_settings(url=URL, database="plant", token_file=private(tmp_path / "secret", text))


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone: cannot read the secret \(No such file or directory\)"):
        influx_settings(url=URL, database="plant", token_file=tmp_path / "gone")
    with pytest.raises(UsageError, match=r"cannot read the secret \(Is a directory\)"):
        influx_settings(url=URL, database="plant", token_file=tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary: cannot read the secret \(not text\)"):
        influx_settings(url=URL, database="plant", token_file=tmp_path / "binary")


class TestCredentialsOfSystemd:
    """`LoadCredential=` gives a service its secrets in a folder of its own, with an access list: 0440."""

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "credentials" / "edge-detect.service"
        folder.mkdir(parents=True)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        return folder

    def read(self, file: Path) -> str | None:
        return influx_settings(url=URL, database="plant", token_file=file).token

    @pytest.mark.parametrize("mode", [0o400, 0o440])
    def test_a_credential_may_show_the_groups_bit(self, folder: Path, mode: int) -> None:
        assert self.read(private(folder / "influx-token", mode=mode)) == SECRET

    def test_it_may_lie_deeper_and_be_named_by_a_link_or_a_relative_path(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "influx").mkdir()
        file = private(folder / "influx" / "token", mode=0o440)
        (tmp_path / "link").symlink_to(file)
        monkeypatch.chdir(folder)
        assert self.read(tmp_path / "link") == SECRET
        assert self.read(file.relative_to(folder)) == SECRET

    @pytest.mark.parametrize("mode", [0o444, 0o460, 0o450, 0o404, 0o442])
    def test_more_than_that_is_refused_there_too(self, folder: Path, mode: int) -> None:
        with pytest.raises(UsageError, match="others may read this secret"):
            self.read(private(folder / "influx-token", mode=mode))

    def test_a_file_outside_is_refused_by_whatever_path(self, folder: Path) -> None:
        outside = private(folder.parent / "influx-token", mode=0o440)
        sibling = folder.with_name(folder.name + "-other")
        sibling.mkdir()
        (folder / "link").symlink_to(outside)
        for file in (
            outside,
            folder / ".." / "influx-token",
            folder / "link",
            private(sibling / "influx-token", mode=0o440),
        ):
            with pytest.raises(UsageError, match="others may read this secret"):
                self.read(file)

    def test_an_empty_variable_grants_nothing(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", "")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError, match="others may read this secret"):
            self.read(private(folder / "influx-token", mode=0o440))


def test_the_command_refuses_a_readable_secret_before_it_asks_any_server(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    file = private(tmp_path / "password", mode=0o644)
    options = (
        "--source",
        "influx",
        "--url",
        "http://127.0.0.1:1",
        "--database",
        "plant",
        "--username",
        "ada",
    )
    done = command("edge-detect", "run", "--bundle", bundle, *options, "--password-file", file)
    assert done.returncode == 2
    assert done.stderr.decode() == f"edge-detect: {file}: others may read this secret; chmod 600 {file}\n"
    file.chmod(0o600)
    words = ("edge-detect", "run", "--bundle", bundle, *options, "--password-file", file)
    with running(tmp_path / "state", *words) as run:
        said = run.says()
        assert "cannot be reached" in said
        assert SECRET not in said


def test_no_option_and_no_key_of_the_configuration_takes_a_secret_itself(
    command: Command, tmp_path: Path
) -> None:
    for option in ("--password", "--token"):
        done = command("edge-detect", "run", option, SECRET)
        assert done.returncode == 2
        assert f"there is no option {option};" in done.stderr.decode()
        assert SECRET.encode() not in done.stdout + done.stderr
    for key in ("password", "token"):
        config = tmp_path / "edge-detect.toml"
        config.write_text(f'[influx]\n{key} = "{SECRET}"\n')
        done = command("edge-detect", "run", "--config", config)
        assert done.returncode == 2
        assert key in done.stderr.decode()
        assert SECRET not in done.stderr.decode()
