"""A classifier as a Python package that needs no torch.

``package`` puts its files together: the exported classifier, its page, and the modules of this package that read images
and run it. ``wheel`` writes them as a wheel.
"""
