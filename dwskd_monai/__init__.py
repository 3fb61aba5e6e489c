"""Small medical image classifiers from large pretrained models, by dual-model weight selection and self-distillation."""

__version__ = "0.1.0"
