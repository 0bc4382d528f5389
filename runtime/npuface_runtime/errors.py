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


def first_line(error: BaseException) -> str:
    """The first line of an error's text without its full stop, for use as a reason."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(". ")
