"""tract. Its Python package wants every shape as a number, so there is a model for each number of rows."""

from functools import cache
from typing import Any

import tract


def open_bundle(path: str) -> Any:
    """What takes inputs by name and gives outputs by name."""

    @cache
    def model(shapes: tuple[tuple[int, ...], ...]) -> Any:
        loaded = tract.onnx().load(path)
        for index, shape in enumerate(shapes):
            loaded.set_input_fact(index, ",".join(map(str, shape)) + ",f32")
        return loaded.into_model().into_runnable()

    def run(feed: dict[str, Any]) -> dict[str, Any]:
        outputs = model(tuple(value.shape for value in feed.values())).run(list(feed.values()))
        names = ["score", "errors", "expected", *["state_out"] * ("state" in feed)]
        names += ["residuals"] * ("baseline" in feed)
        return dict(zip(names, (output.to_numpy() for output in outputs), strict=True))

    return run
