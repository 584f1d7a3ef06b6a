"""Functions as the service answers them: `POST /v1/functions/convert` and `POST /v1/functions/validate`."""

from __future__ import annotations

from typing import Any

from ._base import BaseModel, BasePage, ResponseModel


class FewShotExample(BaseModel):
    """An example of how a request becomes arguments.

    Attributes:
        request: What a user could say.
        params: The arguments that follow from it.
    """

    request: str = ""
    params: dict[str, Any] | None = None


class FunctionDefinition(BaseModel):
    """A function as the service describes it. It can be passed on in `functions=[...]` as it is.

    Attributes:
        name: The function's name.
        description: What it does.
        parameters: JSON Schema of its arguments.
        few_shot_examples: Examples of requests and their arguments.
        return_parameters: JSON Schema of its result.
    """

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    few_shot_examples: list[FewShotExample] | None = None
    return_parameters: dict[str, Any] | None = None


class ConvertedFunctions(BasePage[FunctionDefinition]):
    """The answer of `client.functions.convert(...)`: iterate over it, index it, take its length.

    Attributes:
        functions: The functions found, in the order of the service.
    """

    _items_field = "functions"

    functions: list[FunctionDefinition]


class FunctionIssue(BaseModel):
    """What is wrong with a function, or could be better.

    Attributes:
        description: What it is.
        schema_location: Where in the function it is; `"(root)"` for the whole.
    """

    description: str = ""
    schema_location: str = ""


INCORRECT = "Incorrect function syntax"


class FunctionValidation(ResponseModel):
    """The answer of `client.functions.validate(...)`.

    Attributes:
        message: `"Function is valid"` or `"Incorrect function syntax"`.
        status: 200, whatever the verdict.
        json_ai_rules_version: The version of the rules that the function was held against.
        errors: What the service would refuse; None where nothing is.
        warnings: What could be better; the service leaves it out beside errors.
    """

    message: str = ""
    status: int = 0
    json_ai_rules_version: str | None = None
    errors: list[FunctionIssue] | None = None
    warnings: list[FunctionIssue] | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the service takes the function; warnings don't count."""
        return not self.errors and self.message != INCORRECT
