"""Beside other people's networks: the sentence says who is faster and who is nearer, whoever it is."""

from __future__ import annotations

import numpy as np
from example_record import record, result, times

from npuface_benchmarks.markdown import markdown_report
from npuface_benchmarks.peer_table import peer_table, verdicts
from npuface_benchmarks.record import Accuracy, PeerResult, PeerTiming, Record
from npuface_benchmarks.report import html_report


def _record(network: float, nme: tuple[float, float] | None) -> Record:
    """Ours takes 31.5 + 1.8 ms; the peer's network so many."""
    peer = PeerResult("OpenSeeFace", "ONNX Runtime", ((1.0, 2.0),), (PeerTiming(1, times(network, 0, 0.1)),))
    accuracy = None if nme is None else Accuracy("list.txt", 164, 49, {"cpu": nme[0], "OpenSeeFace": nme[1]})
    return record(result("cpu", "onnxruntime-cpu"), peers=(peer,), accuracy=accuracy)


def test_faster_and_nearer() -> None:
    (said,) = verdicts(_record(60.0, (0.045, 0.046)))
    assert "times as fast as OpenSeeFace" in said
    assert "at lower NME: 4.50% against 4.60%." in said


def test_slower_and_farther_is_said_as_plainly() -> None:
    (said,) = verdicts(_record(10.0, (0.05, 0.04)))
    assert "is slower than (" in said
    assert "at higher NME: 5.00% against 4.00%." in said


def test_without_faces_nothing_is_said_of_accuracy() -> None:
    (said,) = verdicts(_record(60.0, None))
    assert said.endswith("No labelled faces were given, so nothing is said of accuracy.")


def test_the_table_has_a_row_for_each() -> None:
    table = peer_table(_record(60.0, (0.045, 0.046)))
    assert table is not None
    assert [group.shared[0] for group in table.groups] == ["onnxruntime-cpu (cpu)", "OpenSeeFace"]
    assert [group.shared[-1] for group in table.groups] == ["4.50%", "4.60%"]
    assert float(table.groups[1].shared[4]) == round(1000 / float(table.groups[1].shared[2]))
    assert "164 labelled faces, 49 points" in table.title
    assert peer_table(record()) is None


def test_page_and_markdown_open_with_the_sentence() -> None:
    one = _record(60.0, (0.045, 0.046))
    (said,) = verdicts(one)
    assert said in html_report(one, np.zeros((120, 160, 3), np.uint8)).replace("&#39;", "'")
    text = markdown_report(one, "face.png")
    assert text.index("at lower NME") < text.index("| Network |")
