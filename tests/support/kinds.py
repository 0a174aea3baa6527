"""Options of `make_bundle` for bundles of every kind that is written, the hard ones too."""

from __future__ import annotations

from typing import Any

from support.bundles import SENSORS

__all__ = ["KINDS"]

STILL = (("a", "", 20.0, 0.0, None), *SENSORS[1:])
TIGHT = tuple((f"s{i}", "", 1000.0 * i, 0.01 * (i + 1), None) for i in range(5))
KINDS: dict[str, dict[str, Any]] = {
    "autoencoder": {},
    "not whitened": {"whiten": False},
    "standard scaler": {"scaler": "standard"},
    "linear": {"model": "linear"},
    "pca": {"model": "pca"},
    "variational": {"model": "variational"},
    "one sensor": {"sensors": SENSORS[:1]},
    "sensors that hardly move": {"sensors": TIGHT},
    "a sensor that stands still": {"sensors": STILL},
    "smoothed": {"smooth": 11},
    "averaged": {"average": 0.3},
    "window and changes": {"shown": {"window": 4, "differences": True}},
    "rolling, long": {"smooth": 50, "average": 0.05, "shown": {"window": 20, "rolling": 60}},
    "time of day": {"shown": {"period": 60.0, "harmonics": 3}},
    "two channels": {"channels": True, "smooth": 11},
    "baseline": {"channels": True, "horizon": 1024.0, "smooth": 11, "shown": {"clamp": 0.25}},
    "all channels": {"channels": True, "lasting": 20, "sudden": 0.25, "horizon": 1024.0, "smooth": 11},
    "lasting alone": {"channels": True, "lasting": 2},
    "sudden alone": {"channels": True, "sudden": 1.0, "horizon": 1024.0, "sensors": STILL},
    "baseline, one sensor": {"channels": True, "horizon": 90_000.0, "sensors": SENSORS[:1]},
    "baseline, sensors that hardly move": {"channels": True, "horizon": 1024.0, "sensors": TIGHT},
    "baseline, a sensor that stands still": {"channels": True, "horizon": 1024.0, "sensors": STILL},
    "a sensor missing": {"degraded": True, "smooth": 11, "shown": {"period": 60.0, "window": 3}},
    "a sensor missing, sensors that hardly move": {"degraded": True, "sensors": TIGHT},
    "a sensor missing, one stands still, baseline": {
        "degraded": True,
        "channels": True,
        "horizon": 1024.0,
        "sensors": STILL,
    },
    "convolutional, 3 members": {"model": "convolutional", "members": 3, "average": 0.1, "smooth": 20},
}
