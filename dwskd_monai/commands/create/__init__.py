"""The command ``create``: a bundle for the user's own task."""
