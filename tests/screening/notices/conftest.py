"""Tests of the stored outbox run on both kinds of database."""

from tests.screening.memory.conftest import memory, memory_of, postgres, url

__all__ = ["memory", "memory_of", "postgres", "url"]
