"""The documentation site: ``make docs`` builds it to build/docs.

The pages are Markdown that also reads well in the repository. ``_site`` completes them before Sphinx reads them: it
turns links between files of the repository into links between pages, and puts what is generated (options of commands,
keys of configs, docstrings) where a page has a comment such as ``<!-- command: train -->``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _site import complete
from _site.generated import ROOMS
from _site.references import resolve_reference
from sphinx.application import Sphinx

import dwskd_monai

project = "dwskd_monai"
author = copyright = "The dwskd_monai contributors"
version = release = dwskd_monai.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
myst_heading_anchors = 4  # the anchors that the repository's pages have too
exclude_patterns = ["_site"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"dwskd_monai {release}"
html_copy_source = False
highlight_language = "none"  # commands, and what they print
smartquotes_action = "D"  # dashes, and quotes as they are
copybutton_prompt_text = "$ "

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_use_rtype = False
nitpicky = True
# Names of other libraries: their pages are elsewhere, and the site is built without a network.
nitpick_ignore_regex = [(r"py:.*", r"(?!dwskd_monai\b).*")]


def _complete(app: Sphinx, docname: str, source: list[str]) -> None:
    source[0] = complete(docname, source[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    for name in ROOMS:  # autodoc sees only what has been imported
        room = import_module(f"dwskd_monai.{name}")
        vars(room).update({public: getattr(room, public) for public in room.__all__})
    app.connect("source-read", _complete)
    app.connect("missing-reference", resolve_reference)
