"""The command ``create``: a bundle for a task of one's own."""
