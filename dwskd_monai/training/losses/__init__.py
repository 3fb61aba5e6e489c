"""What a student is trained for: ``objective`` is the sum, and each other module has one term.

For main (logits ``z_m``, features ``h_m``) that learns from the auxiliary (``z_a``, ``h_a``)::

    L_m = CE(z_m, y) + λ · term(z_m, z_a) + γ · feature_term(h_m, h_a)

To add a term of your own, derive a class from :class:`~dwskd_monai.training.losses.term.DistillationTerm` and name it
in a config; nothing here changes. A row of ``dwskd_monai.training`` gives it a short name.
"""
