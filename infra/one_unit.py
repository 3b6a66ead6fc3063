"""What one child of TransferFiles does with its unit of work, in the order things happen.

Knows the answers of ProcessFile: DONE, CONTINUE (again, with what is carried), LARGE (by the function with more memory)
and SPLIT (a large file, by several functions at once). A child records its own failure, so one bad file never hides
the others.
"""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.functions import Functions
from infra.invoke import Waits, invoke

# They share the history of their child: throttled all the time, and relayed between, they still keep within it.
SEGMENT_WAITS = Waits(first=300, longest=1500)


def one_unit(scope: Construct, functions: Functions) -> sfn.IChainable:
    process_file = invoke(scope, functions.process_file)
    what_next = sfn.Choice(scope, "WhatNext")
    process_file_large = invoke(scope, functions.process_file_large)
    move_segments = _move_segments(scope, functions)
    finish_file = invoke(scope, functions.finish_file)
    done = sfn.Succeed(scope, "UnitDone")
    record_failure = invoke(scope, functions.record_failure)

    process_file.next(what_next)
    what_next.when(sfn.Condition.string_equals("$.action", "CONTINUE"), process_file)
    what_next.when(sfn.Condition.string_equals("$.action", "LARGE"), process_file_large)
    what_next.when(sfn.Condition.string_equals("$.action", "SPLIT"), move_segments)
    what_next.otherwise(done)
    process_file_large.next(what_next)
    move_segments.next(finish_file)

    # Redriven after its job had ended: the upload was aborted with it, so the file is begun anew in the job's new run.
    for state in (move_segments, finish_file):
        state.add_catch(process_file, errors=["SplitOverError"], result_path=sfn.JsonPath.DISCARD)
    for state in (process_file, process_file_large, move_segments, finish_file):
        state.add_catch(record_failure, errors=["States.ALL"], result_path="$.error")
    return process_file


def _move_segments(scope: Construct, functions: Functions) -> sfn.Map:
    """The segments of one file. What each gave is in the table; the file itself goes on to FinishFile."""
    move_segment = invoke(scope, functions.move_segment, waits=SEGMENT_WAITS)
    is_moved = sfn.Choice(scope, "IsSegmentMoved")
    move_segment_large = invoke(scope, functions.move_segment_large, waits=SEGMENT_WAITS)
    move_segment.next(is_moved)
    move_segment_large.next(is_moved)
    is_moved.when(sfn.Condition.string_equals("$.action", "CONTINUE"), move_segment)
    is_moved.when(sfn.Condition.string_equals("$.action", "LARGE"), move_segment_large)
    is_moved.otherwise(sfn.Succeed(scope, "SegmentMoved"))

    move_segments = sfn.Map(
        scope,
        "MoveSegments",
        items_path="$.segments",
        item_selector={
            "job_id.$": "$.job_id",
            "execution.$": "$.execution",
            "unit.$": "$.unit",
            "split.$": "$.split",
            "run.$": "$.run",
            "n.$": "$$.Map.Item.Value",
        },
        # At most 40 (transfer/segments.py), and no more than the job allows.
        max_concurrency_path="$.split.at_once",
        result_path=sfn.JsonPath.DISCARD,
    )
    return move_segments.item_processor(move_segment)
