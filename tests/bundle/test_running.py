from __future__ import annotations

import sys

from dwskd_monai.bundle import find_bundle_root
from tests.conftest import BUNDLE


def test_the_bundle_is_found_where_monai_put_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(BUNDLE), str(tmp_path)])
    assert find_bundle_root() == str(BUNDLE)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path)])
    assert find_bundle_root() == str(tmp_path)
