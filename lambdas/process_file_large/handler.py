"""ProcessFileLarge: ProcessFile with more memory, for files whose parts the smaller function cannot hold."""

from process_file.handler import handler

__all__ = ["handler"]
