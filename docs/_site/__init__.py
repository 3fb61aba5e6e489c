"""What Sphinx is given in place of a page's text."""

from __future__ import annotations

from pathlib import Path

from _site.generated import with_generated
from _site.links import ELSEWHERE, REPOSITORY, with_links

DOCS = REPOSITORY / "docs"


def complete(docname: str, text: str) -> str:
    """The whole text of a page.

    Args:
        docname: of the page, ``bundles/lung_ct`` for instance.
        text: of its file.
    """
    file = DOCS / f"{docname}.md"
    if docname in ELSEWHERE:  # the page only says where the text is
        file = REPOSITORY / ELSEWHERE[docname]
        text = file.read_text(encoding="utf-8")
    return with_links(with_generated(text), file, Path(docname).parent)
