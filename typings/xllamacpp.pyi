# llama.cpp's server, as far as one lane of ours uses it.
class _Model:
    path: str

class CommonParams:
    model: _Model
    model_alias: set[str]
    port: int
    n_ctx: int
    n_parallel: int
    verbosity: int
    warmup: bool
    chat_template: str

class Server:
    listening_address: str
    def __init__(self, params: CommonParams) -> None: ...
