"""A testing kit: the GigaChat API on a loopback port, with no key and no network.

Needs the extra `emulator`: `pip install 'gigachat-sdk[emulator]'`. The names load on first use, so that the pytest
plugin beside them costs nothing in a run that does not use it.

Example:
    >>> from gigachat_sdk.testing import Emulator
    >>> with Emulator() as emulator:
    ...     emulator.base_url.startswith("http://127.0.0.1:")
    True
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigachat_sdk.testing._emulator import Emulator
    from gigachat_sdk.testing._fault_profile import FaultProfile
    from gigachat_sdk.testing._faults import Fault, FaultRecord
    from gigachat_sdk.testing._replies import Reply
    from gigachat_sdk.testing._state import RecordedRequest

__all__ = ["Emulator", "Fault", "FaultProfile", "FaultRecord", "RecordedRequest", "Reply"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from gigachat_sdk.testing import _emulator
    except ModuleNotFoundError as error:
        raise ImportError(
            f"gigachat_sdk.testing needs {error.name}: pip install 'gigachat-sdk[emulator]'", name=error.name
        ) from error
    return getattr(_emulator, name)
