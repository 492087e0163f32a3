#!/bin/sh
# Puts LLMLingua beside this checkout, to be run on the very torch and transformers that Penchant runs on.
# Its other requirements (accelerate, nltk, numpy, requests, regex) are looked for in the environment of $PYTHON.
set -eu
cd "$(dirname "$0")/../.."
python="${PYTHON:-python}"
target=.cache/peers
rm -rf "$target"
"$python" -m pip install --quiet --target "$target" --no-deps "llmlingua==0.2.2" "tiktoken>=0.8"
"$python" -c "import accelerate, nltk, numpy, regex, requests, torch; print('torch', torch.__version__)"
echo "LLMLingua 0.2.2 is in $target"
