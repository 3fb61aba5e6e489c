"""Links between files of the repository, as links of the site."""

from __future__ import annotations

import os
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
# Pages whose text is a file outside of docs/.
ELSEWHERE = {
    "contributing": "CONTRIBUTING.md",
    "changelog": "CHANGELOG.md",
    "measurements": "benchmarks/RESULTS.md",
    "bundles/chest_xray": "bundles/chest_xray_classification/docs/README.md",
    "bundles/lung_ct": "bundles/lung_ct_classification/docs/README.md",
    "bundles/brain_mri": "bundles/brain_mri_classification/docs/README.md",
}
_PAGES = {"README.md": "index"} | {file: docname for docname, file in ELSEWHERE.items()}
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<path>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")


def with_links(text: str, file: Path, folder: Path) -> str:
    """A text whose links lead to pages of the site.

    A link to a file that is not a page becomes a download, one to a folder its text alone.

    Args:
        text: Markdown.
        file: that it was read from; its links are relative to this file.
        folder: of the page, relative to docs/.
    """

    def replaced(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(file.parent / link["path"]))
        if not target.exists():
            return link[0]  # MyST warns
        if target.is_dir():
            return link["text"]
        inside = target.relative_to(REPOSITORY).as_posix()
        shown, anchor = f"{link['image']}[{link['text']}]", link["anchor"] or ""
        if inside in _PAGES:
            return f"{shown}(/{_PAGES[inside]}.md{anchor})"
        if target.suffix == ".md" and target.is_relative_to(REPOSITORY / "docs"):
            return f"{shown}(/{target.relative_to(REPOSITORY / 'docs').as_posix()}{anchor})"
        path = os.path.relpath(target, REPOSITORY / "docs" / folder)
        return f"{shown}({path})" if link["image"] else f"{shown}(path:{path})"

    return _LINK.sub(replaced, text)
