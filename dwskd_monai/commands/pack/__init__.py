"""A bundle as one file that can be shared: ``archive`` writes it, ``unpack`` checks it.

``configs`` makes configs that MONAI reads without this package, ``inference_code`` collects the modules that travel
with them, and ``provenance`` says where the network comes from and how good it is.
"""
