"""The errors that a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: what is wrong, why it is wrong, and what to do about it."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(f"{what}: {why}. {fix[:1].upper()}{fix[1:]}.")
        self.what = what
        self.why = why
        self.fix = fix

    def as_json(self) -> dict[str, dict[str, str]]:
        """The error as the command prints it with --json."""
        return {"error": {"what": self.what, "why": self.why, "fix": self.fix}}


class EngineError(UserError):
    """An engine opened a model and then failed while it ran; `why` is in the engine's words."""


def reason_of(error: BaseException) -> str:
    """The line of an error's text that says what happened, without its full stop.

    That is the first which is no mere heading: OpenVINO's texts start with places in its source, each
    ending in a colon.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = next((line for line in lines if not line.endswith(":")), lines[0] if lines else type(error).__name__)
    return telling.rstrip(". ")
