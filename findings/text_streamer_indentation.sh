#!/bin/sh
# transformers' TextStreamer takes a space off every line that follows a line break, for tokenizers of the Llama 2 kind.
# Expected: the pieces that the streamer hands out, put together, are decode() of all tokens.
# What happens: after each line break the streamer forgets the tokens so far and decodes the next line alone. A decoder that
# takes the space off the start of a text then takes one off the start of that line: "a\n b" arrives as "a\nb", code
# indented by four spaces as by three. Byte-level tokenizers aren't affected, nor is DecodeStream of tokenizers.
# Seen with transformers 5.23.0, tokenizers 0.23.3 (the streamers need no torch).
# Why it matters: streamed Python code doesn't run, nested lists lose a level, and the stored answer differs from the one
# that was shown. Penchant decodes with what came before (src/penchant/inference/stopping.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q transformers==5.23.0 tokenizers==0.23.3
"$v/bin/python" - <<'PYTHON'
import numpy as np, tokenizers, transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerFast, TextStreamer

print("transformers", transformers.__version__, "tokenizers", tokenizers.__version__)
letters = ["\n", *(chr(i) for i in range(33, 127))]

def llama():
    """Spaces are ▁, one is put before the text and taken off again: the parts that Llama 2's tokenizer.json has."""
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(["▁", *letters])}, merges=[]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    return tokenizer

def byte_level():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return tokenizer

class Collected(TextStreamer):
    """What a terminal would show."""
    text = ""

    def on_finalized_text(self, text, stream_end=False):
        self.text += text

found = {}
for kind, tokenizer in (("llama", llama()), ("byte-level", byte_level())):
    for text in ("one line", "a\n b", "def f():\n    return 1\n", "- tea\n  - green\n"):
        ids = tokenizer.encode(text).ids
        streamer = Collected(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
        for i in ids:
            streamer.put(np.array([i]))
        streamer.end()
        stepper = DecodeStream(skip_special_tokens=False)
        steps = "".join(piece for piece in (stepper.step(tokenizer, i) for i in ids) if piece)
        assert tokenizer.decode(ids) == steps == text
        found[kind, text] = streamer.text
        print(f"{kind:10} decode and DecodeStream {text!r:28} TextStreamer {streamer.text!r}")
expected = {(kind, text): text.replace("\n ", "\n") if kind == "llama" else text for kind, text in found}
raise SystemExit(0 if found == expected else "the behaviour has changed")
PYTHON
