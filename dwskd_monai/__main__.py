"""``python -m dwskd_monai COMMAND``, the same as the console script ``dwskd``."""

from dwskd_monai.cli import main

main()
