"""A bundle as one file that can be shared: ``archive`` writes it, ``unpack`` checks it.

``configs`` makes what MONAI reads without this package, ``inference_code`` the modules that travel with it,
``provenance`` and ``model_card`` what is said of the network.
"""
