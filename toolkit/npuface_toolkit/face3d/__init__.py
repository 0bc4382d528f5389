"""A generative 3D face model: networks, data, training and evaluation (patent text 000, modules 1 to 6)."""
