"""Handlers that watch a training and save it, one in each file; ignite and MONAI lack them."""
