"""A deployed network in a format that runs without timm.

``export`` writes and checks it, ``formats`` knows how each is written and run, ``quantize`` makes it int8,
``description`` says what it expects and gives, ``labeled`` evaluates it.
"""
