"""The command ``calibrate``: evidence from all labeled images, each predicted by a network that never saw it."""
