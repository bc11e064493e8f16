"""Tidegate's infrastructure on AWS as a Pulumi program; `__main__.py` is the architecture, read from top to bottom."""
