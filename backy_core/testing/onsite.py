"""Common parts of the rings on a real kernel: the site, and the permission to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from backy_core.testing import permission
from backy_core.testing.site import Site
from backy_core.testing.subject import Subject


def telling(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """A test that fails shows these texts below its traceback."""
    return partial(request.node.add_report_section, "call", "commands of the operations")


class OnSite(Subject):
    """Gives tests ``site``; afterwards every drive must be clean again."""

    @pytest.fixture
    def site(
        self, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
    ) -> Iterator[Site]:
        why = permission.why_not()
        if why is not None:
            if permission.required():
                pytest.fail(why, pytrace=False)
            pytest.skip(why)
        directory = tmp_path_factory.mktemp("site")
        site = Site(directory, type(self), permission.permission(), telling(request))
        try:
            yield site
        finally:
            site.restore()

    @classmethod
    def usual(cls) -> tuple[str, int]:
        """Level and number of drives for what does not depend on them: redundant if possible."""
        if cls.redundant is not None:
            return cls.redundant
        level = cls.info().levels[0]
        return level.name, level.min_drives
