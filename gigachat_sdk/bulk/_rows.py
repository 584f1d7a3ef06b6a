"""How rows of a dataset become requests, and answers become columns. Pure, but for a function of the user's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .._headers import Hidden
from ..errors import ConfigurationError, ConfigurationTypeError, InvalidRequestError, InvalidRequestTypeError
from ..types import ChatCompletion, ResponseModel, v2
from ..types._narrow import is_mapping
from ._columns import Batch, plain_struct
from ._items import Item, endpoint_named, read_item

_OF_DIALOGUES = ("chat.completions.create", "v2.chat.completions.create")
_OF_MESSAGES = (*_OF_DIALOGUES, "filter.check")


class RowReader:
    """Makes requests of rows; `ChatMapper` explains the arguments.

    Raises:
        ConfigurationError: They say nothing of how a request is made, or two things.
        InvalidRequestError: There is no such endpoint.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        prompt_column: str | None,
        request_column: str | None,
        make_request: Callable[[dict[str, Any]], Any] | None,
        defaults: Hidden,
    ) -> None:
        self._defaults = defaults
        self.endpoint: str = endpoint_named(endpoint).name
        ways = {"prompt_column": prompt_column, "request_column": request_column, "make_request": make_request}
        given = [name for name, way in ways.items() if way is not None]
        if len(given) != 1:
            raise ConfigurationError(
                f"{', '.join(given or ways)}: give one of these, which says what is asked of a row"
            )
        for name, column in (("prompt_column", prompt_column), ("request_column", request_column)):
            if column is not None:
                _check_column(name, column)
        if make_request is not None and not callable(make_request):
            raise ConfigurationTypeError(
                f"make_request: expected a function of a row, got {type(make_request).__name__}"
            )
        self._prompt_column = prompt_column
        self._request_column = request_column
        self._make_request = make_request

    def items(self, batch: Batch) -> list[Item | InvalidRequestError]:
        """Return the request of each row of a batch, or the error that says why it has none.

        Raises:
            InvalidRequestError: The batch lacks the column.
        """
        read: Callable[[Any], Any]
        if self._prompt_column is not None:
            name, values, read = self._prompt_column, batch.values(self._prompt_column), self._of_prompt
        elif self._request_column is not None:
            name, values, read = self._request_column, batch.values(self._request_column), _of_document
        else:
            name, values, read = "make_request", list(batch.rows()), self._of_row
        return [self._item(index, value, read, name) for index, value in enumerate(values)]

    def _item(self, index: int, value: Any, read: Callable[[Any], Any], name: str) -> Item | InvalidRequestError:
        try:
            item = read_item(read(value), index, self.endpoint)
        except InvalidRequestError as error:
            item = error
        if isinstance(item, InvalidRequestError):
            return type(item)(f"{name}: {item.message}", param=name)
        request = Hidden(item.request)
        for keyword, default in self._defaults.items():
            if request.get(keyword) is None:
                request[keyword] = default
        return Item(item.index, item.id, request, item.digest)

    def _of_prompt(self, text: Any) -> dict[str, Any]:
        if not isinstance(text, str):
            raise InvalidRequestTypeError(f"expected a text, got {type(text).__name__}")
        if self.endpoint in _OF_MESSAGES:
            return {"messages": [{"role": "user", "content": text}]}
        return {"input": text}

    def _of_row(self, row: dict[str, Any]) -> Any:
        return None if self._make_request is None else self._make_request(row)


def _of_document(given: Any) -> Any:
    if not isinstance(given, str):
        return plain_struct(given)
    try:
        return json.loads(given)
    except (ValueError, RecursionError) as error:
        trouble = str(error)
    raise InvalidRequestError(f"this is no JSON: {trouble}")  # here, as it is no part of the error's context


def checked_keywords(name: str, given: Any) -> Hidden:
    """Return keywords that were given as a dict, or none.

    Raises:
        ConfigurationTypeError: It is no dict.
    """
    if given is not None and not is_mapping(given):
        raise ConfigurationTypeError(f"{name}: expected a dict of keywords, got {type(given).__name__}")
    return Hidden(given or {})


def _check_column(name: str, given: Any) -> None:
    if not isinstance(given, str) or not given:
        raise ConfigurationTypeError(f"{name}: expected the name of a column, got {given!r}")


def check_outputs(output_column: Any, error_column: Any) -> tuple[str, str]:
    """Return the names of the columns of answers and errors.

    Raises:
        ConfigurationError: One of them is no name, or they are the same.
    """
    _check_column("output_column", output_column)
    _check_column("error_column", error_column)
    if output_column == error_column:
        raise ConfigurationError(f"output_column, error_column: {error_column!r} cannot be both")
    return output_column, error_column


def shown_as(output: Any, endpoint: str) -> Callable[[ResponseModel], str | None]:
    """Return the function that makes text of an answer.

    Args:
        output: `"text"`, `"json"`, or None for what suits the endpoint.
        endpoint: Where the answers come from.

    Raises:
        ConfigurationError: There is no such output, or the answers have no text.
    """
    if output is None:
        output = "text" if endpoint in _OF_DIALOGUES else "json"
    if output not in ("text", "json"):
        raise ConfigurationError(f'output: {output!r} is unknown; give "text" or "json"')
    if output == "json":
        return ResponseModel.to_json
    if endpoint not in _OF_DIALOGUES:
        raise ConfigurationError(f'output: answers of {endpoint} are no text; give "json"')
    return _text_of


def _text_of(response: ResponseModel) -> str | None:
    if isinstance(response, v2.ChatCompletion):
        return response.text
    if isinstance(response, ChatCompletion) and response.choices:
        return response.choices[0].message.content
    return None


def line_of(error: Exception | None) -> str | None:
    """Return what a column says of an error."""
    return None if error is None else f"{type(error).__name__}: {error}"
