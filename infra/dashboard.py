"""The dashboard: is anything wrong, what is moving, where is the time going, what does it cost. In this order.

Knows metrics and prices. Every metric of lambdas/sluiceway/telemetry.py stands in one of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch

from infra.alarms import summed, throttles
from infra.functions import Functions
from infra.measures import FIVE_MINUTES, Measures
from infra.settings import Settings
from infra.storage import Storage
from infra.workflow import Workflow
from sluiceway import telemetry
from sluiceway.cost import PRICES_DATE, Prices

# CloudWatch's grid is 24 wide.
THIRD, HALF, WHOLE = 8, 12, 24
TIB = 1024**4

Row = list[cloudwatch.IWidget]


def rows(
    settings: Settings,
    measures: Measures,
    functions: Functions,
    workflow: Workflow,
    storage: Storage,
    alarms: Sequence[cloudwatch.IAlarm],
) -> list[Row]:
    """The widgets, row by row."""
    return [
        [_title("Is anything wrong?"), cloudwatch.AlarmStatusWidget(alarms=alarms, width=WHOLE, title="Alarms")],
        _wrong(measures, functions, workflow),
        [_title("What is moving?")],
        _moving(measures, functions, workflow),
        [_title("Where is the time going?")],
        *_time(settings, measures),
        [_title(f"What does it cost? (list prices of us-east-1, {PRICES_DATE})")],
        _cost(measures, functions, storage),
    ]


def _wrong(measures: Measures, functions: Functions, workflow: Workflow) -> Row:
    machine = workflow.state_machine
    return [
        _graph(
            "Files that did not land",
            [measures.total(telemetry.FILES_FAILED), measures.total(telemetry.FILES_REJECTED)],
            right=[measures.failing_percent()],
        ),
        _graph(
            "Trouble with sources",
            [measures.total(telemetry.SOURCE_UNREACHABLE), measures.total(telemetry.SLOW_FILES)],
        ),
        _graph(
            "Executions and functions",
            [
                machine.metric_failed(label="failed"),
                machine.metric_timed_out(label="timed out"),
                machine.metric_aborted(label="aborted"),
                summed(functions.of_units, "Errors"),
                throttles(),
                measures.most(telemetry.STALE_UPLOADS),
            ],
        ),
    ]


def _moving(measures: Measures, functions: Functions, workflow: Workflow) -> Row:
    rate = cloudwatch.MathExpression(
        expression="bytes / PERIOD(bytes) / 1000000",
        using_metrics={"bytes": measures.total(telemetry.BYTES_TRANSFERRED)},
        label="MB/s landed",
        period=FIVE_MINUTES,
    )
    return [
        _graph("Bytes", [rate]),
        _graph("Files", [measures.total(telemetry.FILES_STORED), measures.total(telemetry.FILES_SKIPPED)]),
        _graph(
            "Work",
            [
                workflow.state_machine.metric_started(label="executions started"),
                functions.process_file.metric("ConcurrentExecutions", statistic="Maximum", label="ProcessFile at once"),
            ],
        ),
    ]


def _time(settings: Settings, measures: Measures) -> list[Row]:
    waits = [
        measures.total(telemetry.SOURCE_WAIT_SECONDS, "source"),
        measures.total(telemetry.SINK_WAIT_SECONDS, "sink (S3)"),
        measures.total(telemetry.HASH_SECONDS, "hash"),
    ]
    return [
        [
            _graph("Seconds waited for", waits, stacked=True),
            _graph(
                "Seconds a file",
                [
                    measures.mean(telemetry.TRANSFER_SECONDS, "average"),
                    measures.most(telemetry.TRANSFER_SECONDS, "longest"),
                ],
            ),
            _graph(
                "Exports",
                [measures.total(telemetry.EXPORT_WAIT_SECONDS, "seconds waited for export APIs")],
                right=[measures.total(telemetry.CALLBACKS_REJECTED, "callbacks rejected")],
            ),
        ],
        [
            _graph(
                "Done again",
                [
                    measures.total(telemetry.SOURCE_RESUMES),
                    measures.total(telemetry.PART_RETRIES),
                    measures.total(telemetry.RELAYS),
                    measures.total(telemetry.POOL_WAITS),
                ],
                width=HALF,
            ),
            _graph(
                f"Memory of functions that move files; ProcessFile has {settings.process_file_memory_mb} MB",
                [measures.most(telemetry.PEAK_MEMORY_MB)],
                right=[measures.most(telemetry.PEAK_MEMORY_PERCENT, "of the function's, %")],
                width=HALF,
            ),
        ],
    ]


def _cost(measures: Measures, functions: Functions, storage: Storage) -> Row:
    prices = Prices()
    compute = _compute_usd(functions, prices)
    per_tib = cloudwatch.MathExpression(
        expression=f"IF(bytes > 0, usd / bytes * {TIB})",
        using_metrics={"usd": compute, "bytes": measures.total(telemetry.BYTES_TRANSFERRED)},
        label="USD of compute a TiB",
        period=FIVE_MINUTES,
    )
    table = cloudwatch.MathExpression(
        expression=f"writes * {_decimal(prices.table_write)} + reads * {_decimal(prices.table_read)}",
        using_metrics={
            "writes": storage.jobs_table.metric_consumed_write_capacity_units(statistic="Sum"),
            "reads": storage.jobs_table.metric_consumed_read_capacity_units(statistic="Sum"),
        },
        label="USD, jobs table",
        period=FIVE_MINUTES,
    )
    return [
        _graph("USD in five minutes", [compute, table], width=HALF),
        _graph("USD a TiB landed", [per_tib], width=HALF),
    ]


def _compute_usd(functions: Functions, prices: Prices) -> cloudwatch.MathExpression:
    """Lambda's bill: milliseconds by gigabytes, and requests. Functions of one size are added up first: SUM passes
    over those that have not run, where `+` would find no answer. Of requests only those for units are counted:
    a job makes a handful of others, and CloudWatch gives away dashboards of up to 50 metrics. For the same reason what
    runs for a moment in a whole job, or four times a day, is left out, and so are requests for large files: each lasts
    minutes, at a price ten thousand times its own."""
    large = {functions.process_file_large, functions.move_segment_large}
    requested = [function for function in functions.of_units if function not in large]
    metrics: dict[str, cloudwatch.IMetric] = {
        f"i{n}": function.metric_invocations(statistic="Sum") for n, function in enumerate(requested)
    }
    by_size: dict[int, list[str]] = {}
    brief = {functions.await_export, functions.export_callback, functions.count_stale_uploads}
    of_jobs = {each: memory_mb for each, memory_mb in functions.memory_mb.items() if each not in brief}
    for n, (function, memory_mb) in enumerate(of_jobs.items()):
        metrics[f"d{n}"] = function.metric_duration(statistic="Sum")
        by_size.setdefault(memory_mb, []).append(f"d{n}")
    terms = [
        f"SUM([{', '.join(ids)}]) * {_decimal(memory_mb / 1024 / 1000 * prices.lambda_arm_gb_second)}"
        for memory_mb, ids in by_size.items()
    ]
    requests = ", ".join(id for id in metrics if id.startswith("i"))
    terms.append(f"SUM([{requests}]) * {_decimal(prices.lambda_request)}")
    return cloudwatch.MathExpression(
        expression=" + ".join(terms), using_metrics=metrics, label="USD, functions", period=FIVE_MINUTES
    )


def _decimal(price: float) -> str:
    """CloudWatch's expressions know no exponents."""
    return f"{price:.15f}"


def _title(text: str) -> cloudwatch.TextWidget:
    return cloudwatch.TextWidget(
        markdown=f"## {text}", width=WHOLE, height=1, background=cloudwatch.TextWidgetBackground.TRANSPARENT
    )


def _graph(
    title: str,
    left: Sequence[cloudwatch.IMetric],
    *,
    right: Sequence[cloudwatch.IMetric] = (),
    stacked: bool = False,
    width: int = THIRD,
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(left), right=list(right), stacked=stacked, width=width)
