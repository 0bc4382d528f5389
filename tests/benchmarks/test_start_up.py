"""What the table of the start-up says of its figures."""

from __future__ import annotations

from npuface_benchmarks.start_up import StartUp, as_markdown

FOUND = StartUp("litert", 2**20, 2**18, 122 * 2**20, 0.1, 0.4, 0.005, 80.0, 7, {"cpu": "Some CPU"})


def test_all_that_is_installed_is_called_so() -> None:
    """The wheel has the toolkit in it, so it is more than the runtime with numpy and the engine."""
    table = as_markdown(FOUND)
    assert "| runtime, installed | 256 KiB |" in table
    assert "| everything installed: the wheel, numpy, litert and what they bring | 122 MiB |" in table
