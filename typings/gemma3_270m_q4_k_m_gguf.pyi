from pathlib import Path

MODEL_NAME: str

def assemble(output_path: Path | None = None, overwrite: bool = False) -> Path: ...
