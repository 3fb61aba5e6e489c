"""Cards of a trained bundle, from its metadata, its trained settings and the numbers of an evaluation.

``facts`` has all that the cards say. ``model_page`` writes the bundle's page as MONAI's model zoo has it, ``label`` a
Model Facts label, ``chai`` an Applied Model Card, and ``checklists`` says, item by item, what CLAIM 2024 and TRIPOD+AI
ask for; ``answers`` and ``measured_answers`` answer them. What is not known or was not measured says so.
"""
