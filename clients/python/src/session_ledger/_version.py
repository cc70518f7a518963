"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("session-ledger-client")
except PackageNotFoundError:
    # The sources are on the path without being installed.
    VERSION = "0"
