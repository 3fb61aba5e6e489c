"""Images that are to be trained with, looked at before: ``preflight`` says in which order."""
