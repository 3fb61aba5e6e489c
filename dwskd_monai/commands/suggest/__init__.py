"""Which studies to label next, and which labels are probably wrong.

``committee`` opens the students of a trained bundle, ``judging`` lets them judge studies. ``candidates`` finds the
studies that may be suggested, ``scores`` says how much the students disagree, ``choice`` chooses, and ``suggestions``
writes. ``auditing`` judges labeled studies by networks that were not trained on them, with ``label_issues``. ``sheet``
draws the studies.
"""
