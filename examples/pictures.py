"""A picture drawn by the model, saved beside this run. Needs GIGACHAT_CREDENTIALS in the environment.

python examples/pictures.py "Нарисуй рыжего кота" кот.jpg
"""

import sys

from gigachat_sdk import Client

question, path = sys.argv[1:] if len(sys.argv) == 3 else ("Нарисуй рыжего кота", None)

with Client() as client:
    completion = client.chat.completions.create(
        messages=[{"role": "user", "content": question}],
        function_call="auto",  # lets the built-in text2image work
        timeout=300,  # drawing takes its time
    )
    pictures = completion.images()
    if not pictures:
        print(completion.choices[0].message.content)
    for picture in pictures[:1]:
        content = client.files.content(picture)
        if path is None:
            print(f"Готово: {len(content.read())} байт. Назовите файл, чтобы сохранить.")
        else:
            content.write_to_file(path)
            print(f"Сохранено: {path}")
