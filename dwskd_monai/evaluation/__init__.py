"""How good a classifier is: ``metrics`` computes, ``report`` writes files."""
