"""The same endpoint, written in several ways. Each module has a ``create_app``."""
