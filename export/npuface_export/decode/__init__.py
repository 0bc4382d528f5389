"""Decode forms, one file each. A module in this folder that defines FORM is a form."""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches

from npuface_export.decode.form import DecodeForm, HeatmapSpec
from npuface_runtime.errors import UserError

__all__ = ["FORMS", "DecodeForm", "HeatmapSpec", "form_by_name"]


def _discover() -> dict[str, DecodeForm]:
    forms = {}
    for info in pkgutil.iter_modules(__path__):
        form = getattr(importlib.import_module(f"{__name__}.{info.name}"), "FORM", None)
        if isinstance(form, DecodeForm):
            forms[form.name] = form
    return forms


FORMS: dict[str, DecodeForm] = _discover()


def form_by_name(name: str) -> DecodeForm:
    """The decode form of that name.

    Raises:
        UserError: no form has that name.
    """
    if name not in FORMS:
        near = get_close_matches(name, FORMS) or sorted(FORMS)
        raise UserError(
            f"unknown decode form {name!r}",
            f"the forms are {', '.join(sorted(FORMS))}",
            f"did you mean {' or '.join(near)}?",
        )
    return FORMS[name]
