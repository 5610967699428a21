"""Tests that take minutes. They are run only where they are asked for: bin/test tests/endurance."""

import pytest


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    asked_for = any('endurance' in argument for argument in config.invocation_params.args)
    return None if asked_for else True
