"""The API's sections, as attributes of a client."""
