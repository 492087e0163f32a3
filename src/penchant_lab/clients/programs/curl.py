import json
import os
import subprocess

body = json.dumps({"messages": [{"role": "user", "content": "Who is my dentist?"}]})
url = f"{os.environ['BASE']}/u/ruth/v1/chat/completions"
done = subprocess.run(
    ["curl", "-sS", url, "-H", "Content-Type: application/json", "-d", body], capture_output=True, check=True
)
print("curl:", json.loads(done.stdout)["choices"][0]["message"]["content"])
