"""Which requests may be sent again when it is not known whether they arrived."""

from typing import Final

__all__ = ["IDEMPOTENT_METHODS"]

IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Twice has the same effect as once (RFC 9110 section 9.2.2)."""
