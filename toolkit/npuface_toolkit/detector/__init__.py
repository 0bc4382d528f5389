"""The face detector: a small network of our own, its data, training and evaluation."""
