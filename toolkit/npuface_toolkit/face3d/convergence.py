"""When training has converged: the mean loss of a stretch of steps hardly falls below that of the stretch before."""

from __future__ import annotations

from typing import Any


class Convergence:
    """The rule, and the sums it needs; kept with a run, so that a resumed one ends where the whole run does.

    Args:
        window: steps in a stretch.
        least: the share by which its mean loss must fall; 0 never ends a run.

    Attributes:
        steps: taken in so far.
        reached: whether a stretch has brought too little.
    """

    def __init__(self, window: int, least: float) -> None:
        self.window, self.least = window, least
        self.steps, self.reached = 0, False
        self._sum, self._before = 0.0, float("inf")

    def step(self, loss: float) -> None:
        """Take in the loss of a step."""
        self.steps, self._sum = self.steps + 1, self._sum + loss
        if self.steps % self.window == 0:
            before, self._before, self._sum = self._before, self._sum / self.window, 0.0
            self.reached = self.least > 0 and self._before > before * (1 - self.least)

    def state_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"steps": self.steps, "reached": self.reached, "sum": self._sum, "before": self._before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such data."""
        self.steps, self.reached = int(state["steps"]), bool(state["reached"])
        self._sum, self._before = float(state["sum"]), float(state["before"])
