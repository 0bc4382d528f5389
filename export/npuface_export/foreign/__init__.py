"""Models that were not made here: an ONNX file -> Network."""
