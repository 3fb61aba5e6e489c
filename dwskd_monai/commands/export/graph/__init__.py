"""A classifier as one ONNX graph: from the stored numbers of an image to what is said of it.

``steps`` takes what the graph does from the trained settings. ``resizing`` and ``intensity`` write the preprocessing,
``novelty`` and ``answers`` what follows the network, and ``classifier`` puts them around it. Each module writes in ONNX
what a module of ``preprocessing`` or ``evaluation`` does in numpy, and says which; the tests compare them.

Graphs are written with the builder of onnxscript, not traced from torch: an axis is resized in bands whose length
depends on the image, slices are passed through the network one by one, and a network that was quantized has no torch
module. Writing one takes milliseconds.
"""
