"""Weight selection from and to files.

``command`` writes weights, ``similarity`` compares features on images, ``report`` makes the page and the figure.
"""
