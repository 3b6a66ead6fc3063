"""What users write: the job document and the entries of a manifest, checked field by field.

Knows what is valid and says everything that is not. Uses Pydantic, so it is never imported by process_file.
"""

from sluiceway.spec.document import Job, load_job
from sluiceway.spec.entries import Entry, FileEntry, read_more, read_tasks, refuse_duplicates

__all__ = ["Entry", "FileEntry", "Job", "load_job", "read_more", "read_tasks", "refuse_duplicates"]
