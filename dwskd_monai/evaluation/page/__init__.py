"""The report of an evaluation: numbers with their intervals, for ``metrics.json``, and a page that shows them.

``content`` puts the numbers together, from ``rates``, ``curves``, ``decisions``, ``reliability``, ``abstention``,
``novelty``, ``subgroups``, ``sites``, ``against``, ``shortcuts``, ``explanations`` and ``failures``; ``words`` writes
the summary and the limits. ``figures`` draws, and ``page`` writes ``report.html``.
"""
