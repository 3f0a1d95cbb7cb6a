"""Errors that say where, what, and what to do about it."""

from __future__ import annotations


class CohorteError(Exception):
    """What a person can act on: where it happened, what is wrong, and the remedy."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.where = where

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}; {self.remedy}" if self.remedy else text


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
