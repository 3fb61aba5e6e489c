"""What a network looked at: maps over slices, and whether these maps mean anything.

``feature_maps`` finds the last spatial layer of a network, ``maps`` makes maps by it and by occlusion, for which
``fading`` says what is hidden, and ``deletion`` tests them. ``cases`` chooses the studies that are shown, ``pictures``
draws them, and ``explaining`` does all of this for an evaluation. ``evaluation.page.explanations`` makes numbers and
words of it.
"""
