"""One worker of a fleet: does the jobs that it is given in threads, and writes a line into a file for each.

Run as a program; its only argument is a JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import deque
from typing import Any

from gigachat_sdk import Client, RedisLimiter, RedisTokenStore, SharedStateError


def main(given: dict[str, Any]) -> None:
    limiter = RedisLimiter(given["url"], **given["limiter"])
    options: dict[str, Any] = {"limiter": limiter, "max_retries": 0, **given["client"]}
    if "access_token" not in options:
        options["token_store"] = RedisTokenStore(given["url"], namespace=given["limiter"]["namespace"])
    results = os.open(given["results"], os.O_WRONLY | os.O_APPEND)
    jobs = deque(given["jobs"])

    def work(client: Client) -> None:
        while jobs:
            try:
                job = jobs.popleft()
            except IndexError:
                break
            line = {"job": job}
            try:
                completion = client.chat.completions.create(messages=[{"role": "user", "content": f"Job {job}"}])
                line["text"] = completion.choices[0].message.content
            except SharedStateError as error:
                line["refused"] = str(error)
                jobs.append(job)
                pause.wait(0.05)
            os.write(results, f"{json.dumps(line)}\n".encode())  # one write, so that a kill cuts no line

    pause = threading.Event()
    with Client(**options) as client:
        threads = [threading.Thread(target=work, args=[client]) for _ in range(given["threads"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
