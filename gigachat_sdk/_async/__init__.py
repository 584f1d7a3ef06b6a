"""The written tree: `gigachat_sdk/_sync` is generated from it by `scripts/unasync.py`."""
