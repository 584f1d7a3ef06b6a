"""An answer as an object of a type of yours. Needs GIGACHAT_CREDENTIALS in the environment."""

from pydantic import BaseModel, Field

from gigachat_sdk import Client, ContentFilterError, LengthFinishReasonError


class Recipe(BaseModel):
    """What the model is asked for; it sees the descriptions."""

    title: str
    minutes: int = Field(description="Сколько готовить")
    ingredients: list[str]


with Client() as client:
    try:
        completion = client.chat.completions.parse(
            messages=[{"role": "user", "content": "Рецепт окрошки"}], response_format=Recipe, max_tokens=500
        )
    except LengthFinishReasonError:
        print("Ответ не поместился в max_tokens.")
    except ContentFilterError:
        print("Сервис не стал отвечать.")
    else:
        recipe = completion.choices[0].message.parsed
        if recipe is not None:  # None only where the model asks for a function instead
            print(f"{recipe.title}, {recipe.minutes} мин: {', '.join(recipe.ingredients)}")
