"""A page for each target in the site, made from the target's data when the site is built."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from npuface_export.target import targets
from npuface_export.target_page import one_target_page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add `targets/NAME.md` for every target."""
    for name, target in targets().items():
        files.append(File.generated(config, f"targets/{name}.md", content=one_target_page(target)))
    return files
