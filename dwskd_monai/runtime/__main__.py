"""``python -m dwskd_monai.runtime MODEL STUDIES --out DIR``."""

import sys

from dwskd_monai.runtime.command import main

if __name__ == "__main__":
    sys.exit(main(name="python -m dwskd_monai.runtime"))
