from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from example_record import record

from npuface_benchmarks.number_kinds import EMULATED, ESTIMATED, MEASURED
from npuface_benchmarks.record import Record
from npuface_benchmarks.record_schema import record_schema, schema_text
from npuface_runtime.errors import UserError


def test_round_trip_keeps_every_value() -> None:
    assert Record.from_text(record().to_text()) == record()


def test_json_says_what_each_number_is() -> None:
    raw = json.loads(record().to_text())
    assert raw["format"] == "npuface-benchmark"
    assert raw["version"] == 5
    assert [result["kind"] for result in raw["results"]] == [EMULATED, EMULATED, MEASURED, MEASURED]
    assert raw["results"][0]["estimate"]["kind"] == ESTIMATED
    assert raw["numbers"]["NPU milliseconds"].startswith(ESTIMATED)
    assert raw["machine"]["cores"] == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "other"}, "npuface-benchmark"),
        ({"version": 2}, "npuface-benchmark"),
        ({"runs": "many"}, "record.runs is not of type int"),
        ({"surprise": 1}, "unknown field 'surprise'"),
        ({"detection": {"median_ms": 1.0}}, "no field 'p25_ms'"),
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


def test_the_schema_takes_what_is_written_and_nothing_else() -> None:
    validator = jsonschema.Draft202012Validator(record_schema())
    raw = json.loads(record().to_text())
    assert list(validator.iter_errors(raw)) == []
    for change in ({"runs": "many"}, {"surprise": 1}, {"version": 2}, {"results": [{}]}, {"accuracy": {"nme": 1}}):
        assert list(validator.iter_errors(raw | change)), change


def test_the_schema_in_the_documents_is_this_one() -> None:
    page = Path(__file__).parents[2] / "docs" / "benchmark.schema.json"
    assert page.read_text() == schema_text(), "make docs writes it"
