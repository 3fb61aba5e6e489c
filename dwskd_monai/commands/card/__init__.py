"""Cards of a trained bundle: ``cards`` collects what is known, and writes them."""
