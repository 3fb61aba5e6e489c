"""Methods side by side on a user's own data: `comparison` runs the grid, `methods.yaml` declares the methods."""
