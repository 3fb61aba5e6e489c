"""Tests, and what they share."""

import gc

gc.set_threshold(100_000, 20, 100)  # to look for garbage as often as usual makes importing torch and MONAI 20 % longer
