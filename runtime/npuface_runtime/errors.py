"""The one kind of error that a user is meant to read."""

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
