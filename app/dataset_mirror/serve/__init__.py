"""How bytes go out: the gateway before FastAPI, heads and bodies, the uvicorn protocol."""
