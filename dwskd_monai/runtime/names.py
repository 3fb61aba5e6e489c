"""Inputs and outputs of an exported classifier: their names and meaning."""

from __future__ import annotations

PIXELS = "pixels"
SLOPE = "slope"
INTERCEPT = "intercept"
INVERTED = "inverted"
SPACING = "spacing"
PADDING = "padding"
PROBABILITIES = "probabilities"
SLICE_PROBABILITIES = "slice_probabilities"
AT_OPERATING_POINT = "at_operating_point"
PREDICTION_SET = "prediction_set"
NOVELTY = "novelty"
SLICE_NOVELTY = "slice_novelty"

MEANINGS = {
    PIXELS: "the stored numbers of one image or series, its slices in the orientation that 'reading' describes",
    SLOPE: "of the rescale, one for all slices or one for each: value = slope * stored + intercept",
    INTERCEPT: "of the rescale, likewise",
    INVERTED: "whether the greatest value is the darkest, as in MONOCHROME1",
    SPACING: "mm between rows and between columns; ones if they are unknown",
    PADDING: "share of the pixels that are not part of the image (PixelPaddingValue), and have its darkest value",
    PROBABILITIES: "of the study, calibrated",
    SLICE_PROBABILITIES: "of the slices, as the network gives them: the temperature was fitted to studies. If a study "
    "has several images, its probabilities are made from those of all its slices: see 'studies'",
    AT_OPERATING_POINT: "the classes that reach their operating point; none if no points were fitted",
    PREDICTION_SET: "the classes that the study may have; all if no sets were fitted",
    NOVELTY: "how unlike the training images the study is, about 1 for one of them; see its limit in 'evidence'",
    SLICE_NOVELTY: "of the slices",
}
