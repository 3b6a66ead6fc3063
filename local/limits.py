"""Limits of Step Functions that more than one part of the engine enforces."""

# Step Functions developer guide, "Service quotas": input or output of a task, state or execution, UTF-8.
MAX_STATE_BYTES = 262_144
# The same page: events in an execution's history.
MAX_HISTORY_EVENTS = 25_000
