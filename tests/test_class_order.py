from __future__ import annotations

import pytest

from dwskd_monai.class_order import in_order


def test_classes_are_in_the_order_of_their_keys_wherever_these_stand():
    names = [f"class {number}" for number in range(11)]
    channel_def = {str(number): names[number] for number in (10, 2, 1, 0, 3, 9, 8, 7, 4, 5, 6)}
    assert in_order(channel_def) == names
    assert in_order(("b", "a")) == ["b", "a"]


@pytest.mark.parametrize("channel_def", [{"1": "a", "2": "b"}, {"0": "a", "x": "b"}, {"0": "a", "2": "b"}])
def test_keys_that_do_not_number_the_classes_are_refused(channel_def):
    with pytest.raises(ValueError, match=f"expected the keys 0, 1, one for each class; got {', '.join(channel_def)}"):
        in_order(channel_def)
