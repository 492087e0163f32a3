"""Rhea's detector of global instructions, as published (arXiv 2512.06869; revised as REA, 2610.00958).

A whole turn is an instruction or not. Eight English patterns decide, or else the model answers YES or NO, greedily, to
a question with four examples. An instruction is never superseded or ended. The paper asks Qwen3-0.6B; here the loaded
model is asked. Half of the patterns are quoted in the paper, the others only described there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from penchant.conversation.context import Detector, Found
from penchant.history.dialogue import Instruction
from penchant.inference.generation import generate_stream
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import text_ids
from penchant.text.unicode import replace_surrogates

NEW_TOKENS = 16
TURN_TOKENS = 512
PATTERNS = (
    r"\bfrom now on\b",
    r"\ball (?:of )?(?:the )?answers\b",
    r"\bevery (?:single )?answer\b",
    r"\bin subsequent answers\b",
    r"\bin (?:all|every) (?:your )?(?:following |subsequent |future )?(?:responses?|repl(?:y|ies))\b",
    r"\bfor (?:all|every) (?:the )?(?:following |subsequent |future )?questions?\b",
    r"\bthroughout (?:the|this|our) conversation\b",
    r"\balways (?:answer|respond|reply)\b",
)
_PATTERN = re.compile("|".join(PATTERNS), re.IGNORECASE)
QUESTION = (
    "Decide whether the message is a global instruction that applies to all later answers. Answer YES or NO.\n\n"
    "Message: From now on, answer in one sentence.\nAnswer: YES\n\n"
    "Message: What is the capital of France?\nAnswer: NO\n\n"
    "Message: All of your answers must be in lowercase.\nAnswer: YES\n\n"
    "Message: Summarise the text above in 30 words.\nAnswer: NO\n\n"
)


def rhea(loaded: LoadedModel | None) -> Detector:
    """Make Rhea's detector over one model; None: patterns alone. A turn is cut to 512 tokens for the question."""

    def detect(text: str, known: Sequence[Instruction]) -> Found:
        if not (_PATTERN.search(text) or (loaded is not None and says_yes(loaded, text))):
            return Found()
        return Found((Instruction("", text),))

    return detect


def says_yes(loaded: LoadedModel, text: str) -> bool:
    """Say whether the model answers YES about a turn."""
    text = replace_surrogates(text)
    ids = text_ids(loaded, text)
    if len(ids) > TURN_TOKENS:
        text = str(loaded.tokenizer.decode(ids[:TURN_TOKENS]))
    prompt = render_chat(loaded, [{"role": "user", "content": f"{QUESTION}Message: {text}\nAnswer:"}])
    answer = "".join(generate_stream(loaded, prompt, max_new_tokens=NEW_TOKENS))
    return answer.strip().upper().startswith("YES")
