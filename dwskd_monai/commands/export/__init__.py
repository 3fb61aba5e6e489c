"""A deployed network in a format that runs without timm.

``export`` writes and checks the file, ``formats`` knows how each format is written and run, ``quantize`` makes it int8
and measures what this costs, ``description`` says what it expects and returns, and ``studies`` are what it is tried on.
"""
