from __future__ import annotations

import pytest

from dwskd_monai.bundle import check_classes


def test_a_network_with_other_classes_than_the_metadata_is_refused():
    check_classes({"0": "a", "1": "b"}, 2)
    with pytest.raises(ValueError, match=r"num_classes is 3, configs/metadata.json names 2 classes \(a, b\)"):
        check_classes(["a", "b"], 3)
