"""The examples of docs/guides/server.md, against a server with the embedded model."""

import contextlib
import io
import json
import shlex
import subprocess
from pathlib import Path

import numpy as np
import openai
import pytest

from penchant import Personalizer, Store
from penchant.serving.service import ServerSettings, Service
from tests.serving.server import running
from tests.test_docs import ROOT, blocks

PAGE = ROOT / "docs" / "guides" / "server.md"
HERE = "http://127.0.0.1:8000"


@pytest.mark.model
def test_the_examples_run_and_the_answer_is_personal(tmp_path: Path) -> None:
    mine = [block for block in blocks(PAGE) if block.skipped and block.language in {"python", "bash"}]
    mine = [block for block in mine if "=BASE" not in block.text]  # other packages: make clients
    assert [block.language for block in mine] == ["python", "bash", "python", "python", "python"]
    with Store(tmp_path / "store") as store:
        store.add("ruth", ["My dentist is Dr. Amara Okafor, on Elm Street.", "I like long walks."])
        service = Service(Personalizer(store=store), ServerSettings(max_tokens=40))
        with running(service) as client, contextlib.redirect_stdout(io.StringIO()) as said:
            names: dict[str, object] = {}
            for block in mine:
                text = block.text.replace(HERE, str(client.base_url))
                if block.language == "bash":
                    words = shlex.split(text.replace("\\\n", " "))
                    made = json.loads(subprocess.run([*words, "-s"], capture_output=True, check=True).stdout)
                    assert "Okafor" in made["choices"][0]["message"]["content"]
                else:
                    exec(compile(text, str(block), "exec"), names)
        with running(Service(Personalizer(store=store), ServerSettings())) as client:
            api = openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0)
            texts = ["My dog is called Bruno.", "The name of my dog", "Interest rates fell in May."]
            made = api.embeddings.create(model="text-embedding-3-small", input=texts)  # in base64, its default
            vectors = np.array([one.embedding for one in made.data])
            assert vectors.shape == (3, 384) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
            assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
            plain = api.embeddings.create(model="x", input=texts[0], encoding_format="float").data[0].embedding
            assert np.allclose(plain, vectors[0], atol=1e-6)
            assert made.usage.prompt_tokens == made.usage.total_tokens > 10
    shown = said.getvalue()
    assert "Okafor" in shown.splitlines()[0]
    assert "My dentist is Dr. Amara Okafor" in shown.splitlines()[1]
    assert "Wren" in shown.splitlines()[-2]
    assert "Okafor" in shown.splitlines()[-1]
