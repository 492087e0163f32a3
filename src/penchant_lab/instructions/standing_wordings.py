"""MT-Eval names kinds of global instruction without their wording. Here each kind is worded as IFEval words it (Zhou et
al., arXiv 2311.07911), in our words: for good in three ways, and for one answer."""

from __future__ import annotations

_KINDS = {
    "startend:start_char": ("begin with the letter S", "Begin your response with the letter S."),
    "startend:start_emoji": ("begin with an emoji", "Start this response with an emoji."),
    "startend:end_phrase": (
        'end with the exact phrase "Is there anything else I can help with?"',
        'Finish your response with this exact phrase: "Is there anything else I can help with?"',
    ),
    "language:response_language": (
        "be entirely in Hindi",
        "Your entire response should be in Hindi, no other language.",
    ),
    "format:json_format": ("be wrapped in JSON format", "The entire output should be wrapped in JSON format."),
    "format:bullet_list": (
        "contain exactly three bullet points",
        "Your answer must contain exactly three bullet points.",
    ),
    "length_constraints:number_words": ("have fewer than 60 words", "Answer with less than 60 words."),
    "length_constraints:number_sentences": (
        "have at least four sentences",
        "Your response should have four sentences.",
    ),
    "keywords:existence": ('include the keyword "river"', 'Include the keyword "river" in the response.'),
    "change_case:capital_letter": (
        "be in all capital letters",
        "Your entire response should be in all capital letters.",
    ),
    "change_case:lowercase": ("be in all lowercase letters", "Your entire response should be in lowercase letters."),
    "punctuation:no_comma": ("not contain any commas", "In your response, refrain from the use of any commas."),
    "combination:two_responses": (
        "give two different responses separated by six asterisks",
        "Give two different responses, separated by six asterisks.",
    ),
    "content:placeholder": (
        "contain at least two placeholders in square brackets",
        "The response must contain at least two placeholders in square brackets, such as [name].",
    ),
    "format:constrained_response": (
        'be one of: "My answer is yes.", "My answer is no.", "My answer is maybe."',
        'Answer with one of: "My answer is yes.", "My answer is no.", "My answer is maybe."',
    ),
}

#: Kind -> (an instruction for good, a constraint on one answer), three of each.
WORDINGS = {
    kind: (
        (f"From now on, every response must {must}.", single),
        (f"For the rest of this conversation, your answers should {must}.", f"Please answer this. {single}"),
        (f"All the answers that you give to my questions have to {must}.", f"One more thing. {single}"),
    )
    for kind, (must, single) in _KINDS.items()
}
