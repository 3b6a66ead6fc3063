"""MoveSegmentLarge: MoveSegment with more memory, for files whose parts the smaller function cannot hold."""

from move_segment.handler import handler

__all__ = ["handler"]
