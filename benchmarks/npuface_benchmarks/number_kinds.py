"""What kind of number each figure of a benchmark is: measured here, emulated, of a stand-in, or a vendor compiler's
estimate.
"""

from __future__ import annotations

from collections.abc import Mapping

MEASURED = "measured here"
EMULATED = "emulated"
STANDING_IN = "standing in"
ESTIMATED = "compiler estimate"

WHAT_NUMBERS_ARE: Mapping[str, str] = {
    "milliseconds": f"{MEASURED}: wall-clock time of one face on this machine's CPU; p95, p99: percentiles. "
    "The two ways of every bundle, and all bundles of one engine, take turns in one run",
    "total, after network": f"{MEASURED}: medians of sums that are taken run by run, so the columns need not add up to "
    "them. The total is all stages, after network is transfer, decode and map",
    "prepare, network, decode, map": f"{MEASURED}: crop and normalise; the engine; the host's half of the "
    "decode, which for heatmaps is all of it; the landmarks back to the frame",
    "CPU time": f"{MEASURED}: time that all threads of the process took for one face, the sum over the cores",
    "energy": f"{MEASURED}: of one face, by the counters of the processor's packages, with all else that ran on them",
    "memory (runtime alone)": f"{MEASURED}: most that a process of its own held with the bundle open and run, and in "
    "brackets before, with the runtime alone in it",
    "NME": f"{MEASURED}: mean distance of the points from the true ones over that of the outer eye corners, mean over "
    "the labelled faces, each cropped around its true points; over the points that all of the rows give",
    "transfer": f"{MEASURED}: one copy of what leaves the network into the application's own memory. It stands for the "
    "way out of an NPU, whose cost depends on the device's memory",
    "CPU softargmax": "numpy on what leaves the network ending at its heatmaps. A network that draws offsets beside "
    "them is decoded by the highest cell and its offset instead, one with classifiers by the softmax of each",
    "ratio": f"{MEASURED}: median time with heatmaps and softargmax in numpy over median time with coordinates; over "
    "1 means that coordinates are faster",
    "bytes": "exact: what leaves the network for one face, by the model's own tensors",
    "NPU milliseconds": f"{ESTIMATED}: what the vendor's compiler says of one inference; no hardware ran. The decode "
    "is the whole network less the same network ending at its heatmaps, and may be negative where heatmaps that stay "
    "inside need not be written out",
    "SRAM, flash": f"{ESTIMATED}: most of the SRAM that is in use at once, and what lies in flash, weights above all",
    "CPU operators": f"{ESTIMATED}: the operators that the vendor's compiler left to the CPU",
    "NPU landmarks": f"{EMULATED}: an NPU's model runs on a CPU engine, which says where its landmarks lie and nothing "
    "about its speed",
    "landmarks of a stand-in": f"{STANDING_IN}: a model for another device than a CPU, such as a GPU, runs on a CPU "
    "engine, which says where about its landmarks lie and nothing about its speed; what runs where is not known",
    "coordinate shift": "measured when the bundle was quantized: how far INT8 moves the landmarks against float on "
    "real faces, in heatmap pixels; on an NPU's model it is emulated, on one for another device a CPU engine's",
    "difference to CPU softargmax": f"{MEASURED}: how far apart the landmarks of the two ways lie on this one picture, "
    "in heatmap pixels. Decode forms weigh the cells of a map differently, and softargmax draws a landmark towards the "
    "middle of its map, the more the lower its beta times the map's peak",
    "parity": "measured when the bundle was exported: the largest difference of float coordinates to the torch "
    "network's, in heatmap pixels",
}
"""By the names of the report's columns; every record carries it along."""
