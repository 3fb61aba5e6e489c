"""A deployed network in a format that runs without timm.

``export`` writes and checks the file, ``formats`` knows how each format is written, run and compared with the network,
and ``description`` says what it expects and returns. ``studies`` are what it is tried on; ``quantize`` writes it in
int8, and measures what this costs.
"""
