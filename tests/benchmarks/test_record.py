from __future__ import annotations

import json
from typing import Any

import pytest
from example_record import record

from npuface_benchmarks.record import EMULATED, ESTIMATED, MEASURED, Record
from npuface_runtime.errors import UserError


def test_round_trip_keeps_every_value() -> None:
    assert Record.from_text(record().to_text()) == record()


def test_json_says_what_each_number_is() -> None:
    raw = json.loads(record().to_text())
    assert raw["format"] == "npuface-benchmark"
    assert raw["version"] == 2
    assert [result["kind"] for result in raw["results"]] == [EMULATED, EMULATED, MEASURED, MEASURED]
    assert raw["results"][0]["estimate"]["kind"] == ESTIMATED
    assert raw["numbers"]["NPU milliseconds"].startswith(ESTIMATED)
    assert raw["machine"]["cores"] == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "other"}, "npuface-benchmark"),
        ({"version": 1}, "npuface-benchmark"),
        ({"runs": "many"}, "record.runs is not of type int"),
        ({"surprise": 1}, "unknown field 'surprise'"),
        ({"detection": {"median_ms": 1.0}}, "no field 'p95_ms'"),
    ],
)
def test_another_record_is_refused(change: dict[str, Any], why: str) -> None:
    raw = json.loads(record().to_text()) | change
    with pytest.raises(UserError, match="cannot read the benchmark record") as refused:
        Record.from_text(json.dumps(raw))
    assert why in refused.value.why


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(UserError, match="cannot read the benchmark record"):
        Record.from_text("{")
