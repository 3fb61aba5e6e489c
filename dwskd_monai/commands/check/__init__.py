"""Checks the images before a training; ``preflight`` has the order of the checks."""
