"""Which method sends which operation: of `Client`, of `AsyncClient` with the same name, or of a token manager."""

from __future__ import annotations

METHODS = {
    "createAccessToken": "OAuthTokenManager.get_token",
    "createTokenByPassword": "PasswordTokenManager.get_token",
    "listModels": "models.list",
    "getModel": "models.retrieve",
    "createChatCompletion": "chat.completions.create",
    "createChatCompletionV2": "v2.chat.completions.create",
    "createEmbeddings": "embeddings.create",
    "countTokens": "tokens.count",
    "getBalance": "balance.retrieve",
    "aiCheck": "ai.check",
    "filterCheck": "filter.check",
    "validateFunction": "functions.validate",
    "convertFunctions": "functions.convert",
    "listFiles": "files.list",
    "uploadFile": "files.create",
    "getFile": "files.retrieve",
    "getFileContent": "files.content",
    "deleteFile": "files.delete",
    "listBatches": "batches.list",
    "createBatch": "batches.create",
    "listAssistants": "assistants.list",
    "createAssistant": "assistants.create",
    "modifyAssistant": "assistants.update",
    "deleteAssistant": "assistants.delete",
    "deleteAssistantFile": "assistants.delete_file",
    "listThreads": "threads.list",
    "createThread": "threads.create",
    "retrieveThreads": "threads.retrieve_many",
    "deleteThread": "threads.delete",
    "listThreadMessages": "threads.messages.list",
    "addThreadMessages": "threads.messages.create",
    "getThreadRun": "threads.runs.retrieve",
    "runThread": "threads.runs.create",
    "runThreadMessages": "threads.messages.run",
    "rerunThreadMessages": "threads.messages.rerun",
}

# Methods that send no operation of their own, and what they are for.
HELPERS = {
    "assistants.retrieve": "listAssistants, narrowed to one id: the service has no address for a single assistant",
    "batches.results": "getFileContent of what a batch gave, read line by line",
    "batches.retrieve": "listBatches, narrowed to one id: the service has no address for a single batch",
    "batches.wait": "listBatches again and again, until a batch is over",
    "chat.completions.parse": "createChatCompletion with a schema, its answer read into a model",
    "chat.completions.stream": "createChatCompletion as a context with events and snapshots",
    "threads.retrieve": "retrieveThreads with one id",
    "v2.chat.completions.parse": "createChatCompletionV2 with a schema, its answer read into a model",
    "v2.chat.completions.stream": "createChatCompletionV2 as a context with events and snapshots",
}

# Fields of requests that no method sends, and why; `test_every_operation.py` sends all others.
NOT_SENT: dict[str, str] = {
    "createChatCompletionV2: messages[].tool_state_id": "sent as tools_state_id, the name of the recordings, whichever "
    "name the answer had",
}
