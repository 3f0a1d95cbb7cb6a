"""Errors that say where, what, and what to do about it."""

from __future__ import annotations

from cohorte.said import Said, said


class CohorteError(Exception):
    """What a person can act on: where it happened, what is wrong, and the remedy."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.where = where

    @property
    def said(self) -> Said:
        """Where, what and the remedy as one text, to be told in any language that has it."""
        if not self.where and not self.remedy:
            return said("{what}", what=self.message)
        if not self.remedy:
            return said("{where}: {what}", where=self.where, what=self.message)
        if not self.where:
            return said("{what}; {remedy}", what=self.message, remedy=self.remedy)
        return said(
            "{where}: {what}; {remedy}", where=self.where, what=self.message, remedy=self.remedy
        )

    def __str__(self) -> str:
        return self.said


class SettingsError(CohorteError):
    """A file of the workspace does not read or does not say what it must."""

    exit_code = 2


class NotFoundError(CohorteError):
    """A workspace, a version, a segment or a customer that is not there."""

    exit_code = 3


class LockedError(CohorteError):
    """Another run holds the workspace."""

    exit_code = 4


class SourceError(CohorteError):
    """A source's file or query cannot be read as declared."""

    exit_code = 5


class GateError(CohorteError):
    """A check before publication failed; the served version stays."""

    exit_code = 6
