from __future__ import annotations

import numpy as np
import pytest

from dwskd_monai.weight_selection.plan import positions_by_row


@pytest.mark.parametrize(
    ("wanted", "available", "expected"),
    [
        ([[7, 5]], [[5, 6, 7]], [[2, 0]]),
        ([[7, 7, 5, 5]], [[5, 5, 6, 6, 7, 7]], [[4, 5, 0, 1]]),
        ([[1, 0], [3, 2]], [[0, 1, 9], [2, 8, 3]], [[1, 0], [2, 0]]),
    ],
    ids=["channels", "channels behind a flattened image", "inputs of two outputs"],
)
def test_positions_of_elements_in_their_row(wanted, available, expected):
    assert positions_by_row(np.array(wanted), np.array(available)).tolist() == expected


@pytest.mark.parametrize("wanted", [[[4]], [[5, 5]], [[9]]])
def test_an_element_that_is_not_there_or_not_as_often_is_an_error(wanted):
    with pytest.raises(LookupError, match="not along the teacher's axis"):
        positions_by_row(np.array(wanted), np.array([[5, 6, 7]]))
