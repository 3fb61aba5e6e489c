"""A classifier in a PACS: it receives studies by DICOM, answers them, and forgets neither when its process is killed.

``receiving`` takes images, ``classifying`` answers studies that are complete, ``sending`` delivers the answers, and
``journal`` remembers how far each study is. ``listener`` puts them together.
"""
