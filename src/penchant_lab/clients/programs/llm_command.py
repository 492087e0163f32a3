import os
import subprocess
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    Path(folder, "extra-openai-models.yaml").write_text(
        f"- model_id: personal\n  model_name: smollm2\n  api_base: {os.environ['BASE']}/v1\n"
        "  headers:\n    X-Penchant-User: ruth\n",
        encoding="utf-8",
    )
    asked = [sys.executable, "-m", "llm", "-m", "personal", "--key", "none", "Who is my dentist?"]
    done = subprocess.run(
        asked, env={**os.environ, "LLM_USER_PATH": folder}, capture_output=True, text=True, check=False
    )
print("prompt:", done.stdout or done.stderr)
