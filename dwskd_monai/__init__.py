"""Small medical image classifiers from large pretrained models, by DWS-SKD."""

__version__ = "0.1.0"
