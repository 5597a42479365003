"""Failures of the lab itself, as opposed to those of a command that ran in it."""


class LabError(Exception):
    """The lab could not do what was asked; the message is one sentence a person can act on."""


class LabUnavailable(LabError):
    """This machine cannot run guests; the message says what is missing and how to get it."""
