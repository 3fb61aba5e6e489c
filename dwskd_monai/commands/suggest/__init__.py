"""Which studies to label next, and which labels are probably wrong.

``committee`` opens the students of a trained bundle, ``judging`` lets them judge studies. ``known`` reads images that
must not be suggested, ``candidates`` finds the studies that may be, ``scores`` says how much the students disagree,
``choice`` chooses, and ``suggestions`` writes. ``unseen`` finds labeled studies that a network was not trained on,
``audit`` finds wrong labels among them with ``label_issues``, and ``auditing`` writes. ``sheet`` draws the studies.
"""
