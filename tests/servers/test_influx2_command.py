"""`edge-detect run` over a bucket of InfluxDB 2.x, exchange by exchange."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import pytest
from support.exchanges import Exchange, playing
from support.influx2 import (
    BUCKETS,
    FIELDS_QUERY,
    NO_BUCKET_TO_READ,
    NO_POINTS,
    QUERY,
    SECOND,
    T0,
    TAGS_QUERY,
    TOKEN,
    UNAUTHORIZED,
    UNMAPPED,
    asked,
    field_names,
    posted,
)

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command


class TestCommand:
    """`edge-detect run` over a bucket, from the first question to the last point."""

    SENSORS = ("temperature", "vibration", "pressure", "power")
    OPTIONS = ("--source", "influx", "--org", "plant", "--bucket", "line 1", "--start", "2026-01-01")

    def test_a_bucket_is_followed_and_its_verdicts_written_back(
        self, command: Command, bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", TOKEN)
        columns = ",".join(self.SENSORS)
        rows = (
            "#datatype,string,long,dateTime:RFC3339,string,double,double,double,double\r\n"
            "#group,false,false,false,false,false,false,false,false\r\n#default,_result,,,,,,,\r\n"
            f",result,table,_time,machine_id,{columns}\r\n"
            ",,0,2026-01-01T00:00:00Z,press-1,55.1,1.2,50.1,235\r\n"
            ",,0,2026-01-01T00:00:01Z,press-1,95.1,9.2,10.1,635\r\n\r\n"
        )
        query = QUERY.replace('"a" or r._field == "b"', '"' + '" or r._field == "'.join(self.SENSORS) + '"')
        query = query.replace('"a", "b"', '"' + '", "'.join(self.SENSORS) + '"')
        row = r'anomaly,bundle=[0-9a-f]{{12}},machine_id=press-1 score=[^ ]+,verdict="{}",[^ ]+ {}\n'
        lines = row.format("normal", T0) + row.format("anomaly", T0 + SECOND)
        lines += rf'alarms,kind=machine,machine_id=press-1 change="raised",[^\n]+ {T0 + SECOND + 1}\n'
        with playing(
            UNMAPPED,
            asked(FIELDS_QUERY, answer=field_names(*self.SENSORS)),
            asked(TAGS_QUERY, answer=field_names("machine_id")),
            posted(b"", **NO_POINTS),
            asked(query, answer=rows.encode()),
            posted(re.compile(lines.encode())),
        ) as url:
            done = command(
                *("edge-detect", "run", "--bundle", bundle, *self.OPTIONS, "--url", url),
                *("--until", "2026-01-01T00:01:00Z", "--sink", "influx"),
            )
        assert done.returncode == 0, done.stderr.decode()
        assert "2 rows read" in done.stderr.decode()
        assert TOKEN.encode() not in done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("exchanges", "words"),
        [
            (
                (dataclasses.replace(BUCKETS, **UNAUTHORIZED),),
                "InfluxDB refuses the login (unauthorized access); set EDGE_DETECT_INFLUX_TOKEN",
            ),
            (
                (UNMAPPED, asked(FIELDS_QUERY, **NO_BUCKET_TO_READ)),
                'could not find bucket "line 1"); check --bucket, or give the token the right to read',
            ),
        ],
    )
    def test_a_refusal_is_one_line_and_exit_code_1(
        self,
        command: Command,
        bundle: Path,
        monkeypatch: pytest.MonkeyPatch,
        exchanges: tuple[Exchange, ...],
        words: str,
    ) -> None:
        monkeypatch.setenv("EDGE_DETECT_INFLUX_TOKEN", TOKEN)
        with playing(*exchanges) as url:
            done = command("edge-detect", "run", "--bundle", bundle, *self.OPTIONS, "--url", url)
        assert done.returncode == 1
        (line,) = done.stderr.decode().splitlines()
        assert line.startswith(f"edge-detect: {url} (bucket line 1): ")
        assert words in line
        assert TOKEN.encode() not in done.stdout + done.stderr
