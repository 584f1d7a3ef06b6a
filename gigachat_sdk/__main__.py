"""`python -m gigachat_sdk` is the command `gigachat-sdk`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
