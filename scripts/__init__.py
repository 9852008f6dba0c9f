"""The programs that build, test and serve this repository: ``python -m scripts.NAME``."""
