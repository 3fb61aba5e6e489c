"""Data: ``datalist`` finds labelled images and splits them by patient, ``phantoms`` makes synthetic ones."""
