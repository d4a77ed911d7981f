"""Counts the jobs of a process, and reports the counts to the broker."""

from aioq.counts.reporter import JobCounts as JobCounts

__all__ = ["JobCounts"]
