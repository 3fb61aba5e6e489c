"""What tells the classes without showing the disease.

``parts`` alters images: only their borders, only their center, blurred. ``collecting`` asks the network about them
during an evaluation, and ``forest`` says what a small classifier learns from nothing but such a part, or from the
properties of the files. ``evaluation.page.shortcuts`` makes numbers of both.
"""
